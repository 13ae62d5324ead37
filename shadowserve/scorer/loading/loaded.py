"""A loaded version: the object that predicts, and the facts known of it without a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shadowserve.scorer.featurization.categories import Categories
from shadowserve.scorer.loading.calling import Fits, Predict
from shadowserve.scorer.loading.facts import Threads


@dataclass(frozen=True, slots=True)
class Loaded:
    """One version, ready to predict in this process.

    Parameters
    ----------
    native : object, optional
        The fitted sklearn estimator; None for other flavors.
    predict : callable
        See `Predict`. Not safe for concurrent calls unless the model is.
    method : str
        The estimator's method behind `predict`.
    probabilities : callable, optional
        Model input to probabilities: ndarray of shape (n_rows, n_classes), columns in the order of
        `classes`, or a list of such for several outputs. None where the model has none.
    classes : list, optional
        Labels as JSON-able values; a list of lists for several outputs.
    feature_names : list of str, optional
        Column names the estimator was fitted with.
    kinds : mapping of str to str
        What kind of values some of them had; see `loading.kinds`.
    respelled : bool
        Whether those names have underscores where the columns had blanks, as LightGBM writes them.
    input_example : object, optional
        A body for ``/invocations``, parsed, as saved with the model.
    fits : callable, optional
        Tries one value by the model's own type hint; see `Fits`. None where it has none.
    threads : tuple of Threads
        Every part of the model with an ``n_jobs``.
    warnings : tuple of str
        Library differences, hidden shipped modules and what loading warned of; no values.
    unknown : str or None
        What in it may look at a row's neighbours, as far as is known by its structure; None: nothing.
    multi_output : bool
        Whether several rows are answered with a list of arrays, one an output.
    categories : callable
        Gives the values that it knows of its columns of categories; for lanes, which count others.
    """

    native: Any
    predict: Predict
    method: str
    probabilities: Callable[[Any], Any] | None = None
    classes: list[Any] | None = None
    feature_names: list[str] | None = None
    kinds: Mapping[str, str] = field(default_factory=dict)
    respelled: bool = False
    input_example: Any = None
    fits: Fits | None = None
    threads: tuple[Threads, ...] = ()
    warnings: tuple[str, ...] = ()
    unknown: str | None = None
    multi_output: bool = False
    categories: Callable[[], Mapping[str, Categories]] = dict
