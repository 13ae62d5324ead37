"""What a lane that thins its traffic makes of all of it: each request by the inverse of its share.

A lane is thinned when much comes, or what comes is dear. Where it disagrees more just then, what it scored
would tell too little of it: these means tell how much, and the verdict looks at them (`limits`).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import ClassVar

import numpy as np

from shadowserve.comparison.comparisons import Comparisons
from shadowserve.records import Comparison, Outcome
from shadowserve.statistics.stored import Stored, of, plain
from shadowserve.statistics.tally import Moments

ERRORS = 3.0
"""Standard errors that a weighted mean may be off: at 3, one in seven hundred is, by chance, above."""

_LANE = {Outcome.CHALLENGER_ERROR, Outcome.BOTH_ERROR, Outcome.TIMED_OUT, Outcome.CRASHED}
_CHAMPION = {Outcome.CHAMPION_ERROR, Outcome.BOTH_ERROR}


class Weighed(Stored):
    """Weighted means over the requests that were scored, the first of each entity.

    Attributes
    ----------
    left_out : float
        Requests that those which were scored stand for besides themselves; about what was sampled out.
    disagreement : Moments
        From 0 to 1, of requests that both answered.
    more_errors : Moments
        1 where the lane alone failed, -1 where the champion alone did.
    """

    parts: ClassVar = {
        "left_out": plain,
        "disagreement": of(Moments),
        "more_errors": of(Moments),
    }

    def __init__(self) -> None:
        self.left_out = 0.0
        self.disagreement = Moments()
        self.more_errors = Moments()

    @property
    def thinned(self) -> bool:
        """Whether any request stands for more than itself; else these means are those of all statistics."""
        return self.left_out > 0

    def add(self, comparisons: Sequence[Comparison]) -> None:
        """Take in what became of requests."""
        told = Comparisons.of(comparisons)
        if not len(told):
            return
        weights, first = 1 / told.share, told.first
        self.left_out += float(weights.sum() - len(weights))
        self.disagreement.add(told.disagreement[first], weights[first])
        more = told.ended(*_LANE).astype(np.float64) - told.ended(*_CHAMPION)
        self.more_errors.add(more[first], weights[first])


def highest(mean: Moments) -> float:
    """Return what a weighted mean may be at most, by `ERRORS` standard errors; NaN below two observations."""
    return mean.mean + ERRORS * sqrt(mean.variance / max(mean.n_effective, 1.0))
