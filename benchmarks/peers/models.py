"""The models that servers serve, their rows, and the forms that they are stored in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from models import register, traffic
from models.films import versions as films_versions

N_ROWS = 500
CITIES = [f"city-{n:02}" for n in range(20)]
VERSIONS = (1, 2)
FILMS_CHAMPION, FILMS_CHALLENGER = 2, 4
"""Places of v3 and v5 in the demo's recipes."""


def rows(n: int = N_ROWS, *, seed: int = 0) -> list[dict[str, Any]]:
    """Return different rows: two numbers, a category, and a text of 5 to 40 words."""
    rng = np.random.default_rng(seed)
    words = np.array(["".join(rng.choice(list("abcdefghij"), 6)) for _ in range(2_000)])
    return [
        {
            "age": float(np.round(rng.uniform(18, 90), 3)),
            "income": float(np.round(rng.lognormal(10, 0.5), 2)),
            "city": str(rng.choice(CITIES)),
            "note": " ".join(rng.choice(words, rng.integers(5, 41))),
        }
        for _ in range(n)
    ]


def pipeline(seed: int) -> Pipeline:
    """Return the text, category and number pipeline, fitted; seeds differ as versions do."""
    frame = pd.DataFrame(rows(2_000, seed=seed))
    labels = np.random.default_rng(seed).integers(0, 5, len(frame))
    features = ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["age", "income"]),
            ("city", OneHotEncoder(handle_unknown="ignore"), ["city"]),
            ("note", TfidfVectorizer(), "note"),
        ]
    )
    classes = LogisticRegression(max_iter=500)
    return Pipeline([("features", features), ("classes", classes)]).fit(frame, labels)


def constant(seed: int) -> DummyRegressor:
    """Return a model that costs next to nothing: what is left is the server."""
    frame = pd.DataFrame(rows(20, seed=seed))
    return DummyRegressor(strategy="constant", constant=1.0).fit(frame, np.ones(len(frame)))


def films(seed: int) -> Pipeline:
    """Return the demo's champion, or, for any other seed than 1, its better challenger."""
    recipe = films_versions.FILMS.versions[FILMS_CHAMPION if seed == 1 else FILMS_CHALLENGER]
    learned = recipe.training()
    return recipe.build().fit(learned.rows, learned.target)


def films_signature(*_: Any) -> Any:
    """Return the signature of the demo's films, some columns of which may be null."""
    return register.signature(films_versions.FILMS, films_versions.FILMS.versions[FILMS_CHAMPION])


def inferred(frame: pd.DataFrame, predictions: Any) -> Any:
    """Return the signature that MLflow sees in a frame and in its predictions."""
    from mlflow.models import infer_signature

    return infer_signature(frame, predictions)


def films_rows(n: int = N_ROWS) -> list[dict[str, Any]]:
    """Return pages of films as the demo's traffic has them, one description in 100 a long one."""
    return list(traffic.films(n))


@dataclass(frozen=True, slots=True)
class Model:
    """How a model is fitted, by the number of its version; its requests' rows; what describes and ships it."""

    fit: Callable[[int], Any]
    rows: Callable[[int], list[dict[str, Any]]] = rows
    signature: Callable[[pd.DataFrame, Any], Any] = inferred
    code: tuple[Path, ...] = ()


MODELS = {
    "pipeline": Model(pipeline),
    "constant": Model(constant),
    "films": Model(films, films_rows, films_signature, (films_versions.RANKING,)),
}


@dataclass(frozen=True, slots=True)
class Stored:
    """A model of `MODELS`, stored for every server.

    Parameters
    ----------
    name : str
        Its key, and the registered name.
    uri : str
        The registry, for shadowserve, which pins version 1 and shadows 2.
    folder : Path
        Version 1 in MLflow's format.
    file : Path
        Version 1 as a joblib file.
    modules : tuple of Path
        Folders that have to be on the path of whoever loads that file.
    """

    name: str
    uri: str
    folder: Path
    file: Path
    modules: tuple[Path, ...]


def store(name: str, root: Path) -> Stored:
    """Fit both versions of a model and store them under `root`."""
    import mlflow
    import sklearn

    for talks in ("mlflow", "alembic"):
        logging.getLogger(talks).setLevel(logging.ERROR)
    uri = f"sqlite:///{root / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    experiment = mlflow.MlflowClient(uri, uri).create_experiment(
        "train", artifact_location=str(root / "artifacts")
    )
    model_of = MODELS[name]
    frame = pd.DataFrame(model_of.rows(20))
    modules = tuple({path.parent for path in model_of.code})
    made = Stored(name, uri, root / "v1", root / f"{name}.joblib", modules)
    for version in VERSIONS:
        model = model_of.fit(version)
        how: dict[str, Any] = {
            "signature": model_of.signature(frame, model.predict(frame)),
            "serialization_format": "cloudpickle",
            "code_paths": [str(path) for path in model_of.code] or None,
            "pip_requirements": [f"scikit-learn=={sklearn.__version__}"],
        }
        with mlflow.start_run(experiment_id=experiment):
            mlflow.sklearn.log_model(model, name="model", registered_model_name=name, **how)
        if version == VERSIONS[0]:
            mlflow.sklearn.save_model(model, str(made.folder), **how)
            joblib.dump(model, made.file)
    return made


def answers(file: Path, asked: Sequence[dict[str, Any]]) -> list[Any]:
    """Return what the model itself predicts; its shipped code is known to this process since `store`."""
    return joblib.load(file).predict(pd.DataFrame(list(asked))).tolist()
