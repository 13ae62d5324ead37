"""Answers so far off that the cap of a loss hides how bad they are, with labels or without.

Labels come for some requests, and perhaps for a kind of them. A number that lies further from the
champion's than the cap is a failure on any request, and is judged with those that failed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any, NamedTuple, Self

import numpy as np

from shadowserve.statistics.sequential import MeanSequence, paired_mean
from shadowserve.statistics.sequential.evidence import spread

MOST_AT_ONCE = 200_000
"""Answers that one look takes in; the next one goes on from there."""

_NONE, _SAME = 0.5, 1.0


class Answers(NamedTuple):
    """What both versions answered to one request: JSON lists, one answer a row."""

    id: int
    champion: str
    challenger: str


class FarOff:
    """Counts requests on which one version's number is far off, and the other's is not.

    Attributes
    ----------
    more : MeanSequence
        1 where the challenger's is, -1 where the champion's is, else 0.
    reach : float or None
        How far apart two answers must lie; None before labels have set it.
    own, theirs : int
        Requests on which challenger and champion were far off.
    mark : int
        Id of the last answer that was looked at.
    """

    def __init__(self) -> None:
        self.more = paired_mean(1.0)
        self.reach: float | None = None
        self.own = self.theirs = self.mark = 0

    def add(self, rows: Iterable[Answers], *, reach: float, middle: float) -> None:
        """Take in requests, each the first of its unit.

        Parameters
        ----------
        reach : float
            The cap of the absolute error.
        middle : float
            The median label: of two answers that far apart, the one further from it is the one that is off.
        """
        self.reach = reach
        signs = []
        for row in rows:
            sign = _side(json.loads(row.champion), json.loads(row.challenger), reach, middle)
            self.own += sign > 0
            self.theirs += sign < 0
            signs.append(sign)
            self.mark = row.id
        self.more.add(np.asarray(signs, dtype=np.float64))

    def with_failures(self, failures: MeanSequence) -> MeanSequence:
        """Return failures (1 the challenger's, -1 the champion's) with those that are far off among them.

        Who is far off has answered, so it stands there as 0: its observation is moved.
        """
        # A copy: the failures go on being counted without these.
        found = MeanSequence.from_state(failures.state())
        none, own, theirs = (spread(np.asarray([place])) for place in (_NONE, _SAME, 0.0))
        moved = self.own * (own - none) + self.theirs * (theirs - none)
        found.counts = np.maximum(found.counts + moved, 0.0)
        return found

    def to_dict(self) -> dict[str, Any] | None:
        """Return what is known as JSON-able values; None before labels have set what is far."""
        if self.reach is None:
            return None
        return {
            "beyond": self.reach,
            "n": self.more.n,
            "champion": self.theirs,
            "challenger": self.own,
        }

    def state(self) -> dict[str, Any]:
        """Return everything as JSON-able values."""
        return {
            "more": self.more.state(),
            "reach": self.reach,
            "counts": [self.own, self.theirs, self.mark],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any] | None) -> Self:
        """Read what `state` wrote; where an earlier release wrote nothing, all answers are looked at."""
        it = cls()
        if state:
            it.more, it.reach = MeanSequence.from_state(state["more"]), state["reach"]
            it.own, it.theirs, it.mark = state["counts"]
        return it


def _side(champion: Any, challenger: Any, reach: float, middle: float) -> int:
    """Return 1 where any row of the challenger is far off, -1 where any of the champion is, else 0.

    0 where both are; a row without two numbers tells nothing here (`nonfinite_output` does).
    """
    if not (isinstance(champion, list) and isinstance(challenger, list)):
        return 0
    pairs = [pair for pair in zip(champion, challenger, strict=False) if all(map(_known, pair))]
    apart = [(c, h) for c, h in pairs if abs(h - c) > reach]
    own = any(abs(h - middle) > abs(c - middle) for c, h in apart)
    theirs = any(abs(c - middle) > abs(h - middle) for c, h in apart)
    return own - theirs


def _known(value: Any) -> bool:
    return type(value) in (int, float) and isfinite(value)
