"""LitServe with its batching."""

from __future__ import annotations

import os
import sys
from typing import Any

import joblib
import litserve
import pandas as pd


class Served(litserve.LitAPI):
    """One version; a request may hold several rows, and a batch several requests."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - the signature is LitServe's
        """Load the version."""
        self._model = joblib.load(os.environ["PEER_MODEL"])

    def decode_request(self, request):
        """Return a request's rows; no annotation, since LitServe would make a query of it."""
        return request["rows"]

    def batch(self, inputs: list[list[dict[str, Any]]]) -> tuple[pd.DataFrame, list[int]]:
        """Lay requests end to end; remember where each ends."""
        rows = [row for rows in inputs for row in rows]
        return pd.DataFrame(rows), [len(rows) for rows in inputs]

    def predict(self, batch: tuple[pd.DataFrame, list[int]]) -> tuple[list[Any], list[int]]:
        """Predict once for all."""
        frame, sizes = batch
        return self._model.predict(frame).tolist(), sizes

    def unbatch(self, output: tuple[list[Any], list[int]]) -> list[list[Any]]:
        """Give each request its own."""
        told, sizes = output
        ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
        return [told[end - size : end] for end, size in zip(ends, sizes, strict=True)]

    def encode_response(self, output: list[Any]) -> dict[str, Any]:
        """Name it as the others do."""
        return {"predictions": output}


if __name__ == "__main__":
    server = litserve.LitServer(
        Served(max_batch_size=64, batch_timeout=0.005), accelerator="cpu", workers_per_device=1
    )
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="error"
    )
