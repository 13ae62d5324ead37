"""The categories that a fitted model knows, column by column, as far as its encoders tell.

Encoders of scikit-learn remember the categories that they met in training, and so does LightGBM of
a frame's. Only encoders that see a column as it comes are read. Behind a step that changes values,
nobody knows which value of a request becomes which category.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

from shadowserve.scorer.featurization.fitted import is_passed_through

MAX_COLUMNS = 200
_ENCODERS = (OneHotEncoder, OrdinalEncoder, TargetEncoder)
_WITHIN = {
    GridSearchCV: "best_estimator_",
    RandomizedSearchCV: "best_estimator_",
    TransformedTargetRegressor: "regressor_",
}
_PLAIN = (str, int, float, bool)


@dataclass(frozen=True, slots=True)
class Categories:
    """What an encoder knows of one column.

    Parameters
    ----------
    values : frozenset
        Texts, numbers and booleans.
    missing : bool
        Whether a gap is known too, or filled before it gets there.
    refuses : bool
        Whether a value that is not among them is an error.
    """

    values: frozenset[Any]
    missing: bool = False
    refuses: bool = False

    def knows(self, value: Any) -> bool:
        """Whether a value of a request was met in training; True where that cannot be told."""
        if is_gap(value):
            return self.missing
        return type(value) not in _PLAIN or value in self.values


def is_gap(value: Any) -> bool:
    """Whether a plain value stands for a missing one.

    Examples
    --------
    >>> is_gap(None), is_gap(float("nan")), is_gap(0)
    (True, True, False)
    """
    return value is None or (type(value) is float and math.isnan(value))


def known_categories(model: Any, names: Sequence[Any] | None = None) -> dict[str, Categories]:
    """Return what a fitted model knows, by column of its input; empty where nothing is told.

    Parameters
    ----------
    model : object
        Of scikit-learn or LightGBM; anything else knows nothing.
    names : sequence, optional
        Names of its columns, by default those seen in fit. At most `MAX_COLUMNS` are kept.

    Examples
    --------
    >>> import pandas as pd
    >>> encoder = OneHotEncoder(handle_unknown="ignore").fit(pd.DataFrame({"city": ["Oslo", "Rome"]}))
    >>> known_categories(encoder)["city"].knows("Paris")
    False
    """
    found: dict[str, Categories] = {}
    with contextlib.suppress(Exception):  # a stranger's attribute may raise anything
        if names is None:
            names = getattr(model, "feature_names_in_", None)
        for name, one in _told(model, [] if names is None else list(names), filled=False):
            if name in found:  # two encoders of one column: what either does not know is unknown
                one = _both(found[name], one)
            if name in found or len(found) < MAX_COLUMNS:
                found[name] = one
    return found


def _both(one: Categories, other: Categories) -> Categories:
    return Categories(
        one.values & other.values,
        missing=one.missing and other.missing,
        refuses=one.refuses or other.refuses,
    )


def _told(part: Any, names: list[Any], *, filled: bool) -> Iterator[tuple[str, Categories]]:
    """Walk down to the encoders that see values as they come."""
    kind = type(part)
    if kind in _ENCODERS:
        yield from _of_encoder(part, names, filled=filled)
    elif kind is Pipeline:
        yield from _of_pipeline(part, names, filled=filled)
    elif kind.__module__.startswith("lightgbm."):
        yield from _of_lightgbm(part)
    else:
        for inner, columns in _within(part, names):
            yield from _told(inner, columns, filled=filled)


def _within(part: Any, names: list[Any]) -> Iterator[tuple[Any, list[Any]]]:
    """Yield the parts that a composite hands its columns to as they are."""
    kind = type(part)
    if kind is ColumnTransformer:
        for name, inner, _ in part.transformers_:
            places = part._transformer_to_input_indices.get(name, ())
            if not isinstance(inner, str):
                yield inner, [names[place] for place in places]
    elif kind is FeatureUnion:
        yield from ((inner, names) for _, inner in part.transformer_list)
    elif kind in _WITHIN:
        yield getattr(part, _WITHIN[kind]), names


def _of_encoder(part: Any, names: list[Any], *, filled: bool) -> Iterator[tuple[str, Categories]]:
    # Otherwise nobody knows which categories are of which column.
    if len(part.categories_) == len(names):
        refuses = getattr(part, "handle_unknown", None) == "error"
        for name, values in zip(names, part.categories_, strict=True):
            yield from _named(name, values.tolist(), filled=filled, refuses=refuses)


def _of_pipeline(
    part: Pipeline, names: list[Any], *, filled: bool
) -> Iterator[tuple[str, Categories]]:
    for _, step in part.steps:
        if is_passed_through(step):
            continue
        if not _only_fills(step, names):
            yield from _told(step, names, filled=filled)
            return  # what comes next sees other values
        filled = True


def _only_fills(step: Any, names: Sequence[Any]) -> bool:
    """Whether a step fills gaps and leaves every other value and every column where it is."""
    return (
        type(step) is SimpleImputer
        and not step.add_indicator
        and isinstance(step.missing_values, float)
        and len(step.statistics_) == len(names)
        # A column that was empty in fit is dropped, and those behind it move.
        and not any(is_gap(value) for value in step.statistics_.tolist())
    )


def _of_lightgbm(part: Any) -> Iterator[tuple[str, Categories]]:
    """Read a booster's categories: in the order of its columns of categories, which it names by number."""
    booster = getattr(part, "booster_", part)
    known = getattr(booster, "pandas_categorical", None) or []
    names = booster.feature_name()
    places = _categorical(booster)
    if len(known) == len(places):
        for place, values in zip(places, known, strict=True):
            yield from _named(names[place], values, filled=True, refuses=False)


def _categorical(booster: Any) -> list[int]:
    """Return the places of a booster's categorical features, from its own text."""
    found = re.search(
        r"^\[categorical_feature: ([\d,]+)\]$", booster.model_to_string(), re.MULTILINE
    )
    return sorted(map(int, found[1].split(","))) if found else []


def _named(
    name: Any, values: Iterable[Any], *, filled: bool, refuses: bool
) -> Iterator[tuple[str, Categories]]:
    """Yield a column's categories where all of them are plain."""
    met = list(values)
    plain = frozenset(value for value in met if not is_gap(value))
    if all(type(value) in _PLAIN for value in plain):
        gaps = filled or len(met) > sum(1 for value in met if not is_gap(value))
        yield str(name), Categories(plain, missing=gaps, refuses=refuses)
