"""The facts that a loaded estimator holds: labels, names of features, threads."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_NUMBERED = re.compile(r"Column_\d+", re.ASCII)  # LightGBM's own, where it was fitted without names


@dataclass(frozen=True, slots=True)
class Threads:
    """Parallelism that one part of a model asks for.

    Parameters
    ----------
    part : str
        Path of the part within the model, ``""`` for the model itself.
    n_jobs : int or None
        As set on the estimator; None and negative numbers as in joblib.
    effective : int
        Workers that joblib would use here.
    """

    part: str
    n_jobs: int | None
    effective: int


def classes(estimator: Any) -> list[Any] | None:
    """Return the labels, a list of them for each of several outputs; None where there are none."""
    found = getattr(estimator, "classes_", None)
    if isinstance(found, list):
        return [labels.tolist() for labels in found]
    return None if found is None else list(found.tolist())


def feature_names(model: Any) -> list[str] | None:
    """Return the names that a model was fitted with, in their order; None where it has none.

    Parameters
    ----------
    model : object
        An estimator (``feature_names_in_``), a booster of LightGBM or XGBoost, or results of
        statsmodels that were fitted on a frame without a formula. Boosters and results take values
        by place, so without these names another order of columns is another answer.
    """
    for names_of in (_of_estimator, _of_catboost, _of_booster, _of_results):
        with contextlib.suppress(Exception):  # a stranger's property may raise anything
            if names := names_of(model):
                return [str(name) for name in names]
    return None


def _of_estimator(model: Any) -> list[Any] | None:
    found = getattr(model, "feature_names_in_", None)
    return None if found is None else list(found)


def _of_catboost(model: Any) -> list[Any] | None:
    found = getattr(model, "feature_names_", None)
    if not isinstance(found, list) or all(str(name).isdecimal() for name in found):
        return None  # it numbers features that had no names
    return found


def _of_booster(model: Any) -> list[Any] | None:
    told = getattr(model, "feature_name", None)  # LightGBM's is a method
    found = told() if callable(told) else getattr(model, "feature_names", None)
    if not isinstance(found, list) or all(_NUMBERED.fullmatch(str(name)) for name in found):
        return None
    return found


def _of_results(model: Any) -> list[Any] | None:
    fitted = getattr(model, "model", None)
    frame: Any = getattr(getattr(fitted, "data", None), "orig_exog", None)
    # With a formula, statsmodels takes columns by name and needs no order.
    if fitted is None or hasattr(fitted, "formula") or not hasattr(frame, "columns"):
        return None
    return list(frame.columns)


def run_in_one_job(model: Any) -> None:
    """Set every ``n_jobs`` of a loaded model to 1, those of fitted parts within parts too.

    What a part computes stays the same; for a few rows a pool of processes or threads costs more than
    it saves.
    """
    seen: set[int] = set()
    waiting = [model]
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, Mapping):
            waiting += part.values()
        elif isinstance(part, list | tuple):
            waiting += part
        elif hasattr(part, "get_params"):
            # By attributes, not parameters: fitted parts keep an n_jobs of their own.
            waiting += vars(part).values()
            if vars(part).get("n_jobs") not in (None, 1):
                part.n_jobs = 1


def threads(estimator: Any) -> tuple[Threads, ...]:
    """Return every part with an ``n_jobs``, and what it amounts to here."""
    from joblib import effective_n_jobs

    if not hasattr(estimator, "get_params"):
        return ()
    return tuple(
        Threads(name[: -len("n_jobs")].removesuffix("__"), n_jobs, effective_n_jobs(n_jobs))
        for name, n_jobs in sorted(estimator.get_params(deep=True).items())
        if name.rpartition("__")[2] == "n_jobs"
    )
