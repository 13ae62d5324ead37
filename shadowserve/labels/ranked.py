"""How well each version ranks, by fresh pairs: the AUC as a mean of observations that hold at every look.

Labels of each class wait with both versions' scores. A new label whose other classes wait is ranked
among all of them, and uses them up. Who is ranked among whom depends on labels alone, so each rank has
the AUC as its mean given all that came before, and both versions are ranked on the same pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, ClassVar, NamedTuple

import numpy as np

from shadowserve.divergence import output_kind
from shadowserve.labels.losses import Labelled, Wrong
from shadowserve.statistics.stored import Part, Stored, each, named
from shadowserve.statistics.tally.keys import class_key

MOST_WAITING = 64
"""Labels of one class that wait; the oldest make room."""

MOST_CLASSES = 32
_SIDES = ("champion", "challenger")


class Ranked(NamedTuple):
    """A label that waits, with what ranks it.

    Parameters
    ----------
    champion, challenger : mapping or float
        Probabilities by class, or the number that was answered.
    """

    truth: Any
    champion: Any
    challenger: Any


class FreshPairs(Stored):
    """Labels that wait to be ranked among others; each is used once as one that waits."""

    parts: ClassVar = {
        "waiting": named(each(Part(list, Ranked._make))).at("_waiting"),
    }

    def __init__(self) -> None:
        self._waiting: dict[str, list[Ranked]] = {}

    def add(self, request: Labelled, kind: str) -> Wrong | None:
        """Take a label in; return 1 less both versions' share of pairs in order, once there are pairs.

        Numbers are ranked by what was answered, and pairs are in order as their labels are. Of a
        request of several rows the first one stands for it. None where nothing ranks it.
        """
        one = _ranked(request, kind)
        if one is None:
            return None
        key = class_key(one.truth)
        others = {k: rows for k, rows in self._waiting.items() if k != key}
        if not any(others.values()):
            if key in self._waiting or len(self._waiting) < MOST_CLASSES:
                self._waiting[key] = [*self._waiting.get(key, []), one][-MOST_WAITING:]
            return None
        among = [(k, row) for k, rows in others.items() for row in rows]
        # Used up, so that each rank's mean stays the AUC given all that came before.
        self._waiting = {key: self._waiting[key]} if key in self._waiting else {}
        champion, challenger = (
            float(np.mean([_in_order(one, key, row, other, side) for other, row in among]))
            for side in _SIDES
        )
        return Wrong(1 - champion, 1 - challenger, 0.5)


def _ranked(request: Labelled, kind: str) -> Ranked | None:
    truth, ours, theirs = request.truth[0], request.champion_scores, request.challenger_scores
    if output_kind(kind).of_numbers:
        answers = request.champion[0], request.challenger[0]
        if all(_is_number(value) for value in (truth, *answers)):
            return Ranked(truth, *answers)
        return None
    if isinstance(truth, list) or not (ours and theirs):
        return None
    return Ranked(truth, ours, theirs)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and isfinite(value)


def _in_order(one: Ranked, key: str, other: Ranked, other_key: str, side: str) -> float:
    """Return 1 where a pair is in order, a half where both are alike, else 0."""
    own, its = getattr(one, side), getattr(other, side)
    if isinstance(own, Mapping):
        # Of several classes only the pair's two matter: how much surer it is of one than of the
        # other.
        ahead = (own.get(key, 0.0) - own.get(other_key, 0.0)) - (
            its.get(key, 0.0) - its.get(other_key, 0.0)
        )
    else:
        ahead = (own - its) * (1 if one.truth > other.truth else -1)
    return 0.5 + 0.5 * float(np.sign(ahead))
