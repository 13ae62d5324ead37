"""A state directory with two real versions and the requests that both were asked, for `explain`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import mlflow.sklearn
import numpy as np
import orjson
import sklearn
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from rig.archived import journal
from rig.caused import fitted, rows, target, zeroed
from rig.deployment import CHALLENGER, OPTIONS, deployment, made
from rig.scoring import version
from shadowserve.state import deployment as deployments
from shadowserve.state.places import Places
from shadowserve.versions.mlmodel import read_manifest
from shadowserve.versions.version import Version, digest_of, with_manifest

COLUMNS = ["age", "income", "city"]
N = 120


def columns() -> ColumnTransformer:
    """Return steps of scikit-learn alone: another process has no code of ours."""
    age = Pipeline([("impute", SimpleImputer(strategy="median")), ("scale", StandardScaler())])
    city = OneHotEncoder(handle_unknown="ignore")
    return ColumnTransformer(
        [("age", age, ["age"]), ("income", StandardScaler(), ["income"]), ("city", city, ["city"])]
    )


def models(kind: str) -> tuple[Any, Any]:
    """Return two models: ``imputation`` or ``weights`` is what differs."""
    frame = rows(1_000, 11)
    own, y = frame[COLUMNS], target(frame, 11)
    champion = fitted(own, y, columns=columns())
    if kind == "imputation":
        return champion, zeroed(champion)
    features = champion.named_steps["features"]
    other = Ridge(alpha=1e-6).fit(features.transform(own), target(frame, 11, other=True))
    return champion, Pipeline([("features", features), ("model", other)])


def explainable(root: Path, kind: str = "imputation", **options: Any) -> Places:
    """Save both versions, and journal what both can be asked."""
    places = made(root / "state", CHALLENGER)
    versions = {
        number: _saved(root / f"v{number}", model, number)
        for number, model in zip((3, 4), models(kind), strict=True)
    }
    served = deployment(
        champion=versions[3],
        challengers=(versions[4],),
        files={number: str(root / f"v{number}") for number in versions},
        options={**OPTIONS, **options},
    )
    deployments.write(places, served)
    journal(places, asked())
    return places


def asked() -> list[dict[str, Any]]:
    """Return the requests, as callers send them."""
    frame = rows(N, 12)[COLUMNS].replace({np.nan: None})
    return [orjson.loads(orjson.dumps(one)) for one in frame.to_dict("records")]


def _saved(path: Path, model: Any, number: int) -> Version:
    frame = rows(20, 13)[COLUMNS]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(
            model,
            str(path),
            signature=infer_signature(frame, model.predict(frame)),
            input_example=frame[:2],
            serialization_format="cloudpickle",
            pip_requirements=[f"scikit-learn=={sklearn.__version__}"],
        )
    own = version(number, signature=None)
    known = {**own.to_dict(), "digest": digest_of(path)[0]}
    return with_manifest(Version.from_dict(known), read_manifest(path, pin=own.pin))
