"""The parts of a version as they were fitted, without the objects themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from shadowserve.scorer.structure.fitted_state import digest

MOST_REACHED = 20_000
MOST_TOLD = 400
"""Entries of a fitted list that are told."""


@dataclass(frozen=True, slots=True)
class Part:
    """One step, or the estimator, as it was fitted.

    Parameters
    ----------
    name : str
        Its path; empty for the estimator.
    made_of : str
        Its class.
    columns : tuple of str
        The request's columns that it reads.
    digest : str or None
        See `fitted_state.digest`.
    params : mapping
        Its parameters, those that are plain.
    fitted : mapping of str to str or None
        Its fitted attributes, by name, each as its digest.
    facts : mapping
        What tells people how it was fitted: categories, and what stands in for missing values.
    """

    name: str
    made_of: str
    columns: tuple[str, ...] = ()
    digest: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    fitted: Mapping[str, str | None] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outline:
    """A version's parts.

    Parameters
    ----------
    whole : str or None
        Why it cannot be taken apart; None where it can.
    steps : tuple of Part
        Its featurization, in the order in which it runs.
    estimator : Part or None
    featurization : str or None
        Digest of everything that comes before the estimator.
    classes : tuple or None
        Of labels and probabilities.
    reach : tuple of str
        All that its estimator can answer with, where it was fitted with a list of that; else empty.
    """

    whole: str | None
    steps: tuple[Part, ...] = ()
    estimator: Part | None = None
    featurization: str | None = None
    classes: tuple[Any, ...] | None = None
    reach: tuple[str, ...] = ()


def object_of(call: Any) -> Any:
    """Return the fitted part behind a call of the walk: a method of its own, weighed or not."""
    if isinstance(call, partial):
        call = next((one for one in (*call.args, call) if not isinstance(one, float)), call)
    return getattr(call, "__self__", call)


def part_of(part: Any, name: str, made_of: str, columns: tuple[str, ...]) -> Part:
    """Return a fitted part as it is told."""
    own = vars(part) if hasattr(part, "__dict__") else {}
    try:
        params = part.get_params(deep=False)
    except Exception:  # a stranger's own, or none
        params = {}
    return Part(
        name,
        made_of,
        columns,
        digest(part),
        {k: v for k, v in params.items() if isinstance(v, str | int | float | bool | type(None))},
        {k: digest(v) for k, v in own.items() if k.endswith("_") and not k.startswith("_")},
        _facts(part),
    )


def _facts(part: Any) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name in ("categories_", "statistics_", "vocabulary_"):
        own = getattr(part, name, None)
        if own is None:
            continue
        lists = [own] if name != "categories_" else own
        if name == "vocabulary_":
            lists = [sorted(own, key=own.__getitem__)]
        told[name] = [
            [
                value.item() if isinstance(value, np.generic) else value
                for value in list(one)[:MOST_TOLD]
            ]
            for one in lists
        ]
    return told


def reach_of(estimator: Any, answers: Any) -> tuple[str, ...]:
    """Return the shortest fitted list that holds every answer."""
    given = np.asarray(answers)
    if given.dtype.kind not in "iuOUb":
        return ()
    told = set(map(str, given.ravel().tolist()))
    lists = (
        [str(value) for value in own.tolist()]
        for name, own in getattr(estimator, "__dict__", {}).items()
        if name.endswith("_")
        and isinstance(own, np.ndarray)
        and own.ndim == 1
        and len(own) <= MOST_REACHED
    )
    holding = [own for own in lists if told <= set(own) and len(set(own)) == len(own)]
    return tuple(sorted(holding, key=len)[0]) if holding else ()
