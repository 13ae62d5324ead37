"""A real MLflow registry of tiny models, made once per test module that asks for it."""

from __future__ import annotations

import atexit
import os
import tempfile
import textwrap
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import sklearn
from mlflow import MlflowClient
from mlflow.models import ModelSignature, infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rig.stores import fresh_store
from shadowserve.versions.stores import Uris

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MLflow's own, on first import
    import mlflow.lightgbm
    import mlflow.pyfunc
    import mlflow.sklearn

REQUIREMENTS = [f"scikit-learn=={sklearn.__version__}", f"numpy=={np.__version__}"]
DOTTED = "ml.team.model_1"
SPOKEN = "Preise für Ännchen"

FRAME = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": [4.0, 3.0, 5.0, 1.0]})
LABELS = np.array([0, 1, 0, 1])


@dataclass(frozen=True)
class Store:
    """Where the tiny registry lives, and what writes to it."""

    uris: Uris
    root: Path
    client: MlflowClient


@cache
def shared_store() -> Store:
    """Return one store for the whole run; a test that changes a model registers its own."""
    folder = tempfile.TemporaryDirectory(prefix="shadowserve-tests-")
    atexit.register(folder.cleanup)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own, on import and first use
        return make_store(Path(folder.name))


def make_store(root: Path) -> Store:
    """Fill a fresh SQLite registry under `root` with every kind of version the tests need.

    ``films``: v1 a ridge-free line with a signature, an example, training data and alias
    ``champion``; v2 classes with another signature and another data set.
    """
    uri = fresh_store(root)
    client = MlflowClient(uri, uri)
    store = Store(Uris(uri, uri), root, client)
    client.create_experiment("train", artifact_location=(root / "artifacts").as_uri())
    line = LinearRegression().fit(FRAME, FRAME["a"] * 2)
    signature = infer_signature(FRAME, line.predict(FRAME))
    register(store, "films", line, signature=signature, input_example=FRAME[:2], data=FRAME)
    client.set_registered_model_alias("films", "champion", "1")
    register(
        store,
        "films",
        make_pipeline(
            ColumnTransformer([("scale", StandardScaler(), ["a"])], n_jobs=2), LogisticRegression()
        ).fit(FRAME, LABELS),
        signature=ModelSignature.from_dict(
            {
                "inputs": '[{"type":"double","name":"a"},{"type":"double","name":"c"}]',
                "outputs": '[{"type":"long"}]',
                "params": None,
            }
        ),
        data=FRAME[:2],
        tags={"training_data.from": "2020-04-01", "training_data.to": "2020-04-13"},
    )
    return store


def register(store: Store, name: str, model: Any, **options: Any) -> int:
    """Log a fitted estimator or a `PythonModel` and register it as the next version of `name`."""
    data: pd.DataFrame | None = options.pop("data", None)
    tags: Mapping[str, str] = options.pop("tags", {})
    with use(store, options.pop("experiment", "train")), mlflow.start_run():
        if data is not None:
            dataset = mlflow.data.from_pandas(data, name="events")
            mlflow.log_input(dataset, context="training")
        mlflow.set_tags(dict(tags))
        info = _log(model, {"pip_requirements": REQUIREMENTS, **options})
    return register_uri(store, name, info.model_uri)


def register_uri(store: Store, name: str, uri: str) -> int:
    with use(store):
        return int(mlflow.register_model(uri, name).version)


def _log(model: Any, options: dict[str, Any]) -> Any:
    if isinstance(model, mlflow.pyfunc.PythonModel):
        return mlflow.pyfunc.log_model(name="model", python_model=model, **options)
    options = {"serialization_format": "cloudpickle", **options}
    return mlflow.sklearn.log_model(model, name="model", **options)


@contextmanager
def use(store: Store, experiment: str = "train") -> Iterator[None]:
    """Point MLflow's global state at the tiny store, and put everything back."""
    before = {name: os.environ.get(name) for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            mlflow.set_tracking_uri(store.uris.tracking)
            mlflow.set_registry_uri(store.uris.registry)
            mlflow.set_experiment(experiment)
            yield
        finally:
            mlflow.set_tracking_uri(None)
            mlflow.set_registry_uri(None)
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


def forest() -> RandomForestClassifier:
    return RandomForestClassifier(3, n_jobs=-1, random_state=0).fit(FRAME, LABELS)


def write_code(folder: Path, name: str, source: str) -> Path:
    """Write one module to be shipped with a version."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(textwrap.dedent(source))
    return path
