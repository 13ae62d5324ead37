"""The kind of values that each feature was fitted on, where no signature says so.

The type of a column must not be guessed from the rows that happen to come together. A lone null has
no kind of its own, and beside a text it would be text. Encoders remember their categories, text
vectorizers take text, and estimators that compute take numbers. For the rest the model's own input
example speaks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

TEXT, NUMBER, CATEGORY = "text", "number", "category"
_WITHIN = ("best_estimator_", "estimator_", "regressor_")
_UNKNOWN = (
    "CalibratedClassifierCV", "DictVectorizer", "FeatureHasher", "FunctionTransformer",
    "MultiOutputClassifier", "MultiOutputRegressor", "StackingClassifier", "StackingRegressor",
    "VotingClassifier", "VotingRegressor",
)  # fmt: skip


def kinds(model: Any, names: Sequence[str] | None) -> dict[str, str]:
    """Return the kind of each feature that the fitted model tells of.

    Parameters
    ----------
    model : object
        A fitted estimator or booster.
    names : sequence of str or None
        The features in the order of fitting.

    Returns
    -------
    dict of name to {"text", "number", "category"}
        A category is a number or a text and is to be left as it came. What two parts of the model
        tell differently is left out, and so is what none of them tells.
    """
    found: dict[str, set[str]] = {}
    with contextlib.suppress(Exception):  # a stranger's property may raise anything
        for name, kind in _told(model, list(names or ())):
            found.setdefault(name, set()).add(kind)
    return {name: kinds.pop() for name, kinds in found.items() if len(kinds) == 1}


def _told(part: Any, names: list[Any]) -> Iterator[tuple[str, str]]:
    """Walk down to the parts that see the features as they come."""
    if callable(getattr(part, "get_cat_feature_indices", None)):  # CatBoost
        chosen = set(part.get_cat_feature_indices())
        yield from ((str(n), CATEGORY if i in chosen else NUMBER) for i, n in enumerate(names))
    elif type(part).__module__.startswith("lightgbm."):
        booster = getattr(part, "booster_", part)
        if not getattr(booster, "pandas_categorical", None):
            yield from _all(names, NUMBER)
    elif type(part).__module__.startswith("sklearn."):
        for inner, columns in _parts(part, names):
            yield from _leaf(part, names) if inner is part else _told(inner, columns)


def _parts(part: Any, names: list[Any]) -> Iterator[tuple[Any, list[Any]]]:
    """Return the parts that a part of scikit-learn hands its features to, or the part itself."""
    name = type(part).__name__
    if name == "ColumnTransformer":
        for _, inner, columns in part.transformers_:
            if not isinstance(inner, str):
                yield inner, _columns(columns, names)
    elif name == "FeatureUnion":
        yield from ((inner, names) for _, inner in part.transformer_list)
    elif name == "Pipeline":
        steps = [step for _, step in part.steps if step is not None and step != "passthrough"]
        yield steps[0], names
    elif name not in _UNKNOWN:
        within = (getattr(part, attribute, None) for attribute in _WITHIN)
        yield next((inner for inner in within if inner is not None), part), names


def _leaf(part: Any, names: list[Any]) -> Iterator[tuple[str, str]]:
    if type(part).__module__.startswith("sklearn.feature_extraction.text"):
        yield from _all(names, TEXT)
        return
    known: Any = getattr(part, "categories_", None)
    if type(part).__name__ == "SimpleImputer":
        known = part.statistics_.reshape(-1, 1)
    if known is None:
        if not np.any(getattr(part, "is_categorical_", None)):
            yield from _all(names, NUMBER)
        return
    for column, values in zip(names, known, strict=True):
        if kind := _kind(values.tolist()):
            yield str(column), kind


def _columns(declared: Any, names: list[Any]) -> list[Any]:
    """Return the names of a branch's columns, however they were declared."""
    if isinstance(declared, str):
        return [declared]
    if isinstance(declared, slice):
        return names[declared]
    chosen = np.asarray(declared)
    named: list[Any] = (chosen if chosen.dtype.kind in "OUT" else np.array(names)[chosen]).tolist()
    return named


def _all(names: Iterable[Any], kind: str) -> Iterator[tuple[str, str]]:
    return ((str(name), kind) for name in names)


def _kind(values: Iterable[Any]) -> str | None:
    """Return the kind of known values; missing ones have none, and booleans stay as they come."""
    types = {type(value) for value in values if value is not None and value == value}
    if types == {str}:
        return TEXT
    return NUMBER if types and types <= {int, float} else None


def kinds_of_example(body: Any) -> dict[str, str]:
    """Return the kinds of an input example's columns.

    Parameters
    ----------
    body : object
        A body for ``/invocations``, parsed; what is no table tells nothing.

    Examples
    --------
    >>> kinds_of_example({"dataframe_split": {"columns": ["a", "b"], "data": [[1, None], [2, "x"]]}})
    {'a': 'number', 'b': 'text'}
    """
    table = body.get("dataframe_split") if isinstance(body, Mapping) else None
    if not isinstance(table, Mapping) or not isinstance(table.get("columns"), list):
        return {}
    rows = [row for row in table.get("data", ()) if isinstance(row, list)]
    columns = dict(zip(map(str, table["columns"]), zip(*rows, strict=False), strict=False))
    told = {name: _kind(values) for name, values in columns.items()}
    return {name: kind for name, kind in told.items() if kind}
