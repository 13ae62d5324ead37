"""The comparisons of one flush, by columns: a request's own is made where somebody asks for it.

Thousands of requests are recorded at a time, and everything that is remembered of them is a sum, a sketch or
a column of a file. So they lie as arrays from the start, and go through as arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self, overload

import numpy as np

from shadowserve.comparison.by_name import ByName
from shadowserve.records import Comparison, Fault, Outcome

_NUMBERS = ("champion_ms", "champion_work_ms", "lane_ms")
_FLOATS = ("response_ms", "lag_ms", "starved_ms", "inclusion", "share")
_FLAGS = ("exact", "tolerant", "structure", "alone", "warmup", "first", "lately")
_WHOLE = ("position", "arrived_wall_ns", "n_rows", "window", "nonfinite")
_BY_NAME = ("values", "champion_steps", "lane_steps", "lane_cpu", "sizes", "lane_scores")
_LISTS = ("request_id", "outcome", "champion", "lane", "fault")


@dataclass(frozen=True)
class Comparisons(Sequence[Comparison]):
    """Comparisons of `n` requests; each field as in `Comparison`, for all of them.

    Parameters
    ----------
    compared : ndarray of shape (n,), bool
        Which of them both sides answered: a disagreement of others is None.
    disagreement, champion_ms, champion_work_ms, lane_ms : ndarray of shape (n,), float64
        NaN where a request has none.
    """

    position: np.ndarray
    request_id: Sequence[str]
    arrived_wall_ns: np.ndarray
    n_rows: np.ndarray
    window: np.ndarray
    outcome: Sequence[Outcome]
    compared: np.ndarray
    disagreement: np.ndarray
    exact: np.ndarray
    tolerant: np.ndarray
    structure: np.ndarray
    values: ByName
    champion: Sequence[Any]
    lane: Sequence[Any]
    champion_ms: np.ndarray
    champion_work_ms: np.ndarray
    lane_ms: np.ndarray
    response_ms: np.ndarray
    champion_steps: ByName
    lane_steps: ByName
    lane_cpu: ByName
    lag_ms: np.ndarray
    starved_ms: np.ndarray
    alone: np.ndarray
    warmup: np.ndarray
    inclusion: np.ndarray
    share: np.ndarray
    sizes: ByName
    nonfinite: np.ndarray
    lane_scores: ByName
    first: np.ndarray
    lately: np.ndarray
    fault: Sequence[Fault | None]

    @classmethod
    def of(cls, comparisons: Sequence[Comparison]) -> Comparisons:
        """Lay comparisons out by columns; those that lie so already stay as they are."""
        if isinstance(comparisons, Comparisons):
            return comparisons
        told: dict[str, Any] = {
            name: [getattr(one, name) for one in comparisons] for name in Comparison.__slots__
        }
        compared = np.array([one is not None for one in told["disagreement"]], dtype=np.bool_)
        for name in ("disagreement", *_NUMBERS, *_FLOATS):
            told[name] = np.array(told[name], dtype=np.float64)
        for name in _FLAGS:
            told[name] = np.array(told[name], dtype=np.bool_)
        for name in _WHOLE:
            told[name] = np.array(told[name], dtype=np.int64)
        for name in _BY_NAME:
            told[name] = ByName.of(told[name])
        return cls(compared=compared, **told)

    def __len__(self) -> int:
        """Return the number of requests."""
        return len(self.position)

    @overload
    def __getitem__(self, at: int) -> Comparison: ...
    @overload
    def __getitem__(self, at: slice) -> list[Comparison]: ...
    def __getitem__(self, at: int | slice) -> Comparison | list[Comparison]:
        """Make the comparison of one request, or of some."""
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(len(self)))]
        at = range(len(self))[at]
        told: dict[str, Any] = {name: getattr(self, name)[at] for name in _LISTS}
        for name in (*_FLOATS, *_FLAGS, *_WHOLE):
            told[name] = getattr(self, name)[at].item()
        for name in _NUMBERS:
            number = getattr(self, name)[at].item()
            told[name] = None if number != number else number
        for name in _BY_NAME:
            told[name] = getattr(self, name).row(at)
        told["sizes"] = {column: int(size) for column, size in told["sizes"].items()}
        told["disagreement"] = self.disagreement[at].item() if self.compared[at] else None
        return Comparison(**told)

    def __iter__(self) -> Iterator[Comparison]:
        """Make one after the other."""
        return (self[at] for at in range(len(self)))

    def taken(self, which: np.ndarray) -> Self:
        """Return some of them: by places, or by ndarray of shape (n,), bool."""
        if which.dtype == np.bool_ and which.all():
            return self
        places = np.flatnonzero(which) if which.dtype == np.bool_ else which
        told: dict[str, Any] = {
            name: getattr(self, name)[places]
            for name in (*_NUMBERS, *_FLOATS, *_FLAGS, *_WHOLE, "compared", "disagreement")
        }
        told |= {name: getattr(self, name).taken(places) for name in _BY_NAME}
        at = places.tolist()
        told |= {name: [own[i] for i in at] for name in _LISTS for own in (getattr(self, name),)}
        return type(self)(**told)

    @cached_property
    def code(self) -> np.ndarray:
        """What became of each: its place among `Outcome`; ndarray of shape (n,), int8."""
        return np.array([_CODES[one] for one in self.outcome], dtype=np.int8)

    def ended(self, *outcomes: Outcome) -> np.ndarray:
        """Return which of them ended in one of some ways: ndarray of shape (n,), bool."""
        return np.isin(self.code, [_CODES[one] for one in outcomes])

    def counts(self) -> dict[Outcome, int]:
        """Return how many ended in which way; none that did not come."""
        found = np.bincount(self.code, minlength=len(_CODES)).tolist()
        return {outcome: n for outcome, n in zip(Outcome, found, strict=True) if n}


_CODES = {outcome: place for place, outcome in enumerate(Outcome)}
