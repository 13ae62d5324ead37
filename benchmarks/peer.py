"""The plainest service of a model with BentoML: what a team has before shadowserve."""

from __future__ import annotations

import os
from typing import Any

import bentoml
import mlflow.sklearn
import pandas as pd


@bentoml.service(logging={"access": {"enabled": True}})
class Plain:
    """One registered version, predicted as it stands."""

    def __init__(self) -> None:
        self._model = mlflow.sklearn.load_model(os.environ["PEER_MODEL"])

    @bentoml.api
    def predict(self, rows: list[dict[str, Any]]) -> list[Any]:
        """Predict records."""
        return self._model.predict(pd.DataFrame(rows)).tolist()
