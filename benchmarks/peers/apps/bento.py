"""BentoML, plain and with its adaptive batching: what a team has before shadowserve."""

from __future__ import annotations

import os
from typing import Any

import bentoml
import joblib
import pandas as pd


@bentoml.service
class Plain:
    """One version, predicted as it stands."""

    def __init__(self) -> None:
        self._model = joblib.load(os.environ["PEER_MODEL"])

    @bentoml.api
    def predict(self, rows: list[dict[str, Any]]) -> list[Any]:
        """Predict records."""
        return self._model.predict(pd.DataFrame(rows)).tolist()


@bentoml.service(traffic={"max_concurrency": 1024, "timeout": 60})
class Batchable:
    """One version; BentoML joins the rows of requests that wait at the same time."""

    def __init__(self) -> None:
        self._model = joblib.load(os.environ["PEER_MODEL"])

    @bentoml.api(batchable=True, max_batch_size=512, max_latency_ms=1_000)
    def predict(self, rows: list[dict[str, Any]]) -> list[Any]:
        """Predict records."""
        return self._model.predict(pd.DataFrame(rows)).tolist()
