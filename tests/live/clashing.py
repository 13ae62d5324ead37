"""Versions that differ in shipped code only, under one module name: ``feats`` multiplies by 1, 2, 3.

Version 4 loads but cannot predict: an attribute that its estimator has had since is gone, as in a
pickle of an older scikit-learn. ``feats`` also ships a module named like one the server is built on.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

N = 20
FACTORS = (1, 2, 3)
BROKEN = len(FACTORS) + 1
FEATS = """
from sklearn.base import BaseEstimator, TransformerMixin


class Times(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X * {factor}
"""


def register(root: Path) -> str:
    """Register the versions and return the store's address."""
    import mlflow
    from mlflow.models import infer_signature
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.tree import DecisionTreeRegressor

    uri = f"sqlite:///{root / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    experiment = mlflow.create_experiment("t", artifact_location=str(root / "artifacts"))
    frame = pd.DataFrame({"a": np.linspace(0.0, 10.0, N)})
    signature = infer_signature(frame, frame["a"].to_numpy())
    for factor in (*FACTORS, None):
        code = root / f"code{factor}"
        code.mkdir()
        (code / "feats.py").write_text(FEATS.format(factor=factor or 1))
        (code / "orjson.py").write_text("raise SystemExit('the wrong orjson')\n")
        sys.path.insert(0, str(code))
        sys.modules.pop("feats", None)
        times = importlib.import_module("feats").Times()
        sys.path.remove(str(code))
        last = LinearRegression().fit(frame.to_numpy(), frame["a"])
        if factor is None:
            last = DecisionTreeRegressor().fit(frame.to_numpy(), frame["a"])
            del last.tree_
        last.feature_names_in_ = np.array(["a"], dtype=object)
        with mlflow.start_run(experiment_id=experiment):
            mlflow.sklearn.log_model(
                make_pipeline(times, last),
                name="m",
                signature=signature,
                input_example=frame[:2],
                code_paths=[str(code / "feats.py"), str(code / "orjson.py")],
                serialization_format="cloudpickle",
                pip_requirements=[],
                registered_model_name="m",
            )
    return uri


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(register(Path(sys.argv[1])))
