"""Whether a version answers one number or one label to nearly everybody.

What holds still is fixed on the first hundred requests and measured on those that follow, challenger
against champion on the same request: an absurd answer of either weighs one request.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import Any, ClassVar

import numpy as np
from scipy.stats import spearmanr

from shadowserve.divergence import output_kind
from shadowserve.statistics.sequential import MeanSequence, paired_mean
from shadowserve.statistics.stored import Part, Stored, each, listed, of, plain

BURN_IN = 100
STILL_SHARE = 0.01
"""Share of the champion's usual range, from its 5th to its 95th per cent, that counts as one place."""

CORRELATED = 0.5


class Stillness(Stored):
    """How much oftener the challenger's answer lies in its one usual place than the champion's in its own.

    Parameters
    ----------
    kind : str
        One that has a `usual` place: number, probability or label.

    Attributes
    ----------
    more : MeanSequence
        Of ``1{challenger in its place} - 1{champion in its place}``, request by request after the first
        hundred. A place of numbers is the median of the hundred and 1 % of the champion's usual range
        about it; where the challenger follows the champion in another unit, 1 % of its own. A place of
        labels is the commonest of the hundred.
    own, theirs : float
        Requests since then on which challenger and champion were in their places.
    """

    parts: ClassVar = {
        "kind": Part(str, str),
        "more": of(MeanSequence),
        "own": plain,
        "theirs": plain,
        "burnt": each(listed).at("_burnt"),
        "places": plain.at("_places"),
        "widths": listed.at("_widths"),
    }
    given = ("kind",)

    def __init__(self, kind: str) -> None:
        self.of = output_kind(kind)
        if self.of.usual is None:
            raise ValueError(f"Answers of kind {kind!r} have no usual place.")
        self.usual = self.of.usual
        self.more = paired_mean(1.0)
        self.own = 0.0
        self.theirs = 0.0
        self._burnt: list[list[Any]] = []
        self._places: list[Any] | None = None
        self._widths = [0.0, 0.0]

    @property
    def kind(self) -> str:
        """Name of the kind of output."""
        return self.of.name

    def add(self, champion: Sequence[Any], lane: Sequence[Any]) -> None:
        """Take in both answers to some requests, one each; rows without a number are left out."""
        theirs, own = (self.of.placed(side) for side in (champion, lane))
        # A NaN lies in no place, and one side without a number leaves no pair.
        if not self.usual.is_label:
            fine = np.isfinite(theirs) & np.isfinite(own)
            if not fine.all():
                theirs, own = (list(compress(side, fine.tolist())) for side in (theirs, own))
        while theirs and self._places is None:
            wanted = BURN_IN - len(self._burnt)
            both = zip(theirs[:wanted], own[:wanted], strict=True)
            self._burnt += [list(pair) for pair in both]
            theirs, own = theirs[wanted:], own[wanted:]
            if len(self._burnt) == BURN_IN:
                self._fix()
        if theirs and self._places is not None:
            there = self._there(theirs, which=0), self._there(own, which=1)
            self.theirs, self.own = self.theirs + there[0].sum(), self.own + there[1].sum()
            self.more.add(there[1] - there[0])

    def _there(self, values: Sequence[Any], *, which: int) -> np.ndarray:
        """Return which answers of a side lie at its place: ndarray of shape (n,), float64, 0 or 1."""
        place = self._places[which] if self._places is not None else None
        if self.usual.is_label:
            return np.array([value == place for value in values], dtype=np.float64)
        # Numbers that stand still may still tremble.
        near = np.abs(np.subtract(values, place or 0.0)) <= self._widths[which]
        return np.asarray(near, dtype=np.float64)

    def _fix(self) -> None:
        """Fix the places on the first hundred; where the champion itself holds still, on the next."""
        theirs, own = zip(*self._burnt, strict=True)
        # If the champion holds still itself, these hundred are given up and the next are looked at.
        self._burnt = []
        if self.usual.is_label:
            self._places = [max(set(side), key=side.count) for side in (theirs, own)]
            return
        usual_range = _usual_range(theirs)
        if usual_range <= self.usual.least_range:
            return
        ranges = [usual_range, _usual_range(own)]
        self._places = [float(np.median(side)) for side in (theirs, own)]
        width = STILL_SHARE * ranges[0] / 2
        scaled = self.usual.any_unit and _is_scaled(theirs, own, ranges, self._places)
        self._widths = [width, STILL_SHARE * ranges[1] / 2 if scaled else width]


def _usual_range(values: Sequence[float]) -> float:
    low, high = np.quantile(values, (0.05, 0.95))
    return float(high - low)


def _is_scaled(
    theirs: Sequence[float], own: Sequence[float], ranges: Sequence[float], places: Sequence[float]
) -> bool:
    """Whether numbers vary as the champion's do, only in another unit: grams for kilograms."""
    # A unit keeps the order of the answers; a collapse does not.
    if ranges[1] <= 0 or not spearmanr(theirs, own).statistic > CORRELATED:
        return False
    before, after = (r / max(abs(p), 1e-300) for r, p in zip(ranges, places, strict=True))
    return bool(after >= STILL_SHARE * before)
