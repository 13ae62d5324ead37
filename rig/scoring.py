"""Small real models behind a real `Scorer`, and the requests that they take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import orjson
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from shadowserve.schema.schema import Schema
from shadowserve.scorer import featurization
from shadowserve.scorer.featurization.categories import known_categories
from shadowserve.scorer.loading import Loaded
from shadowserve.scorer.scorer import Scorer
from shadowserve.state.sharing import Sharing
from shadowserve.versions.version import Version

SIGNATURE = {
    "inputs": [
        {"name": "age", "type": "double", "required": True},
        {"name": "title", "type": "string", "required": True},
    ],
    "params": None,
}
WORDS = ("red", "blue", "green", "gold")


def version(number: int = 3, *, signature: Mapping[str, Any] | None = SIGNATURE) -> Version:
    return Version(
        model="films",
        number=number,
        created="2026-01-01T00:00:00+00:00",
        digest=f"{number}" * 64,
        signature=signature,
    )


def record(n: int) -> dict[str, Any]:
    return {"age": float(n), "title": f"{WORDS[n % 4]} {WORDS[n % 3]}"}


def body(*records: Mapping[str, Any]) -> bytes:
    return orjson.dumps({"dataframe_records": records})


@cache
def _frame() -> pd.DataFrame:
    return pd.DataFrame([record(n) for n in range(40)])


@cache
def pipeline(*, labels: bool = False, weight: float = 2.0) -> Pipeline:
    """Number and text to a number, or to a label with probabilities."""
    frame = _frame()
    target = frame["age"] * weight + frame["title"].str.len()
    steps = ColumnTransformer(
        [("scale", StandardScaler(), ["age"]), ("words", CountVectorizer(), "title")]
    )
    model = LogisticRegression() if labels else LinearRegression()
    fitted = Pipeline([("columns", steps), ("model", model)])
    return fitted.fit(frame, target > target.median() if labels else target)


def native(
    model: Any,
    *,
    number: int = 3,
    batched: bool = True,
    signature: Mapping[str, Any] = SIGNATURE,
) -> Scorer:
    """A scorer with a timed walk."""
    plan = featurization.compile(model, method="predict")
    loaded = Loaded(
        native=model, predict=lambda rows, _: model.predict(rows), method="predict",
        classes=getattr(model, "classes_", np.zeros(0)).tolist() or None,
        categories=partial(known_categories, model),
    )  # fmt: skip
    return Scorer(
        version(number, signature=signature),
        loaded,
        plan,
        Schema.from_signature(signature),
        sharing=Sharing(unknown=None if batched else "its code"),
        step_names=tuple((step.name, tuple(map(str, step.columns))) for step in plan.steps),
    )


def opaque(
    predict: Callable[[pd.DataFrame, Mapping[str, Any]], Any],
    *,
    number: int = 4,
    batched: bool = True,
    signature: Mapping[str, Any] = SIGNATURE,
) -> Scorer:
    """A scorer that calls a function of frame and params as a whole."""
    loaded = Loaded(native=None, predict=predict, method="predict")
    return Scorer(
        version(number, signature=signature), loaded, None, Schema.from_signature(signature),
        sharing=Sharing(unknown=None if batched else "its code"),
    )  # fmt: skip


def double(frame: pd.DataFrame, _params: Mapping[str, Any]) -> np.ndarray:
    """Answer twice the age: each answer tells whose it is."""
    return frame["age"].to_numpy() * 2.0


def predictions(answer: bytes) -> Sequence[Any]:
    found: Sequence[Any] = orjson.loads(answer)["predictions"]
    return found


def fields(frame: Any, params: Any) -> pd.DataFrame:
    age = frame["age"]
    return pd.DataFrame({"price": age * 7, "old": age > 150, "score": (age % 10 + 1) / 10})


def parity(frame: Any, params: Any) -> list[str]:
    return ["odd" if age % 2 else "even" for age in frame["age"]]
