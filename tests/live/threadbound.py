"""A model whose state belongs to the thread that loaded it, and which wants the main one."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import mlflow


class Threadbound(mlflow.pyfunc.PythonModel):
    """Answers with what it finds of all that it set up when it was loaded."""

    def load_context(self, context):
        import contextvars
        import decimal
        import sqlite3
        import threading

        import numpy as np
        import sklearn

        self.database = sqlite3.connect(":memory:")
        self.database.execute("create table known as select 7 as answer")
        decimal.getcontext().prec = 6
        np.seterr(all="raise")
        sklearn.set_config(transform_output="pandas")
        self.grad = threading.local()
        self.grad.off = True
        self.tenant = contextvars.ContextVar("tenant", default="nobody")
        self.tenant.set("loaded")

    def predict(self, context, model_input, params=None):
        import asyncio
        import decimal
        import signal
        import threading
        import time

        import numpy as np
        import pandas as pd
        import sklearn

        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: None)
        time.sleep(float(model_input["pause"].max()))
        told = {
            "known": self.database.execute("select answer from known").fetchone()[0],
            "third": str(decimal.Decimal(1) / 3),
            "float_errors": np.geterr()["over"],
            "frames": sklearn.get_config()["transform_output"],
            "grad": getattr(self.grad, "off", None),
            "tenant": self.tenant.get(),
            "main": threading.current_thread() is threading.main_thread(),
            "awaited": asyncio.run(asyncio.sleep(0, "done")),
        }
        return pd.DataFrame([told] * len(model_input))


EXPECTED = {
    "known": 7,
    "third": "0.333333",
    "float_errors": "raise",
    "frames": "pandas",
    "grad": True,
    "tenant": "loaded",
    "main": True,
    "awaited": "done",
}


def register(root: Path) -> None:
    """Register it twice: a champion, and a challenger that is the same."""
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    mlflow.set_tracking_uri(f"sqlite:///{root / 'mlflow.db'}")
    experiment = mlflow.create_experiment("t", artifact_location=str(root / "artifacts"))
    for _ in range(2):
        with mlflow.start_run(experiment_id=experiment):
            mlflow.pyfunc.log_model(
                name="m",
                python_model=Threadbound(),
                signature=ModelSignature(Schema([ColSpec("double", "pause")])),
                input_example=pd.DataFrame({"pause": [0.0]}),
                pip_requirements=[],
                registered_model_name="m",
            )


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own
        register(Path(sys.argv[1]))
