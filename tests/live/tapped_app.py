"""A team's own FastAPI app that answers with a version, and the middleware in front of it.

Runs in a process of its own: python tapped_app.py <port> <tap's url> <model's uri> <tracking uri>
"""

from __future__ import annotations

import sys
from typing import Any

import mlflow
import pandas as pd
import uvicorn
from fastapi import FastAPI

from shadowserve import TapMiddleware


def app_of(model: Any, tap: str) -> FastAPI:
    """Answer MLflow's protocol on one path, and the team's own form on another."""
    app = FastAPI()

    @app.post("/invocations")
    def invocations(body: dict[str, Any]) -> dict[str, Any]:
        return {"predictions": _predict(model, body["dataframe_records"])}

    @app.post("/price")
    def price(item: dict[str, Any]) -> dict[str, float]:
        if item["note"] == "broken":
            raise RuntimeError("the app's own fault")
        return {"price": _predict(model, [item])[0]}

    app.add_middleware(TapMiddleware, url=tap, paths=["/invocations"])
    app.add_middleware(
        TapMiddleware,
        url=tap,
        paths=["/price"],
        to_records=lambda item: [item],
        to_predictions=lambda answer: [answer["price"]],
    )
    return app


def _predict(model: Any, records: list[dict[str, Any]]) -> list[float]:
    return model.predict(pd.DataFrame(records)).tolist()


if __name__ == "__main__":
    port, tap, uri, tracking = sys.argv[1:]
    mlflow.set_tracking_uri(tracking)
    uvicorn.run(app_of(mlflow.sklearn.load_model(uri), tap), port=int(port), log_level="warning")
