"""What labels show class by class beside the loss that decides: recall, average precision, calibration.

Nothing of it decides. Recall and average precision move with the share of each class, and calibration
with what is asked; none is a mean of observations that could be judged at every look. What is kept is
bounded: probabilities are counted in bins, of their logit for the ranking, of ten equal parts for the
calibration.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from shadowserve.divergence import OutputKind, output_kind
from shadowserve.labels.losses import Labelled
from shadowserve.labels.over_time import SIDES, OverTime, average_precision, logit_bin
from shadowserve.statistics.stored import Part, Stored, named, of, plain
from shadowserve.statistics.tally.keys import class_key

MOST_CLASSES = 64
"""Classes that are counted, first come first served."""

MOST_SHOWN = 20
BINS = 10
_STEP = 0.05


@dataclass(slots=True)
class _OfClass:
    """Counts of one class.

    Parameters
    ----------
    n, right : int, list of int
        Labels of the class, and how many of them each version answered so.
    answered : bool
        Whether a version knows the class: others are whatever somebody wrote into a label.
    scored : int
        Labels, of any class, for which both versions gave it a probability.
    ranks : list of dict of int to [others, own]
        By side, and bin of the probability's logit: labels of other classes, and of this one.
    bins : ndarray of shape (2, BINS, 3)
        By side, and tenth of the probability: labels, the sum of probabilities, labels of this class.
    """

    n: int = 0
    answered: bool = False
    right: list[int] = field(default_factory=lambda: [0, 0])
    scored: int = 0
    ranks: list[dict[int, list[int]]] = field(default_factory=lambda: [{}, {}])
    bins: np.ndarray = field(default_factory=lambda: np.zeros((2, BINS, 3)))


def _counts(of: _OfClass) -> list[Any]:
    ranks = [sorted([at, *ns] for at, ns in side.items()) for side in of.ranks]
    return [of.n, of.answered, of.right, of.scored, ranks, of.bins.tolist()]


def _of_class(told: Sequence[Any]) -> _OfClass:
    n, answered, right, scored, ranks, bins = told
    sides = [{at: [others, own] for at, others, own in side} for side in ranks]
    return _OfClass(n, answered, list(right), scored, sides, np.asarray(bins, dtype=np.float64))


class ByClass(Stored):
    """Recall, average precision and calibration of both versions on the same labels, class by class.

    Attributes
    ----------
    n, others : int
        Labels taken in, one a row; those of them whose class is not counted by name.
    """

    parts: ClassVar = {
        "n": plain.young,
        "others": plain.young,
        "classes": named(Part(_counts, _of_class)).at("_classes").young,
        "over_time": of(OverTime).at("_over_time").young,
    }

    def __init__(self) -> None:
        self.n = self.others = 0
        self._classes: dict[str, _OfClass] = {}
        self._over_time = OverTime()

    def add(self, request: Labelled, kind: str, *, arrived_ns: int | None = None) -> None:
        """Take a request in, with the time of its arrival; only labels and probabilities have classes."""
        output = output_kind(kind)
        if not output.has_classes or any(isinstance(truth, list) for truth in request.truth):
            return
        scores = request.champion_scores, request.challenger_scores
        self._recall(request, output, scores)
        ours, theirs = scores
        if ours and theirs and len(request.truth) == 1:
            truth = class_key(request.truth[0])
            self._probabilities(truth, ours, theirs)
            if arrived_ns is not None:
                self._over_time.add(arrived_ns, truth, ours, theirs)

    def _recall(
        self, request: Labelled, output: OutputKind, scores: Sequence[Mapping[str, float] | None]
    ) -> None:
        sides = [
            output.classes(answers, own)
            for answers, own in zip((request.champion, request.challenger), scores, strict=True)
        ]
        if None in sides:
            return
        for truth, *both in zip(request.truth, *(side or () for side in sides), strict=True):
            self.n += 1
            for key in both:
                if (answered := self._of(key)) is not None:
                    answered.answered = True
            key = class_key(truth)
            own = self._of(key)
            if own is None:
                self.others += 1
                continue
            own.n += 1
            own.right = [n + (answer == key) for n, answer in zip(own.right, both, strict=True)]

    def _probabilities(
        self, truth: str, ours: Mapping[str, float], theirs: Mapping[str, float]
    ) -> None:
        for key in {**ours, **theirs}:
            one = self._of(key)
            if one is None:
                continue
            one.answered = True
            one.scored += 1
            is_own = key == truth
            for side, scores in enumerate((ours, theirs)):
                p = min(max(float(scores.get(key, 0.0)), 0.0), 1.0)
                one.ranks[side].setdefault(logit_bin(p, step=_STEP), [0, 0])[is_own] += 1
                one.bins[side, min(int(p * BINS), BINS - 1)] += (1, p, is_own)

    def _of(self, key: str) -> _OfClass | None:
        if key not in self._classes and len(self._classes) >= MOST_CLASSES:
            return None
        return self._classes.setdefault(key, _OfClass())

    def to_dict(self) -> dict[str, Any] | None:
        """Return the report's section, the rarest class first; None where there are no classes."""
        known = [(key, one) for key, one in self._classes.items() if one.answered and one.n]
        if not known:
            return None
        known.sort(key=lambda item: item[1].n)
        # A class that no version answers may be anything that somebody wrote: counted, never told.
        strange = sum(one.n for one in self._classes.values() if not one.answered)
        return {
            "n": self.n,
            "others": self.others + strange + sum(one.n for _, one in known[MOST_SHOWN:]),
            "classes": [
                {
                    "label": json.loads(key),
                    "n": one.n,
                    "share": one.n / self.n,
                    "recall": {side: one.right[i] / one.n for i, side in enumerate(SIDES)},
                    "average_precision": _ranked(one, self._over_time.of(key)),
                    "calibration": _calibrated(one),
                }
                for key, one in known[:MOST_SHOWN]
            ],
        }


def _ranked(one: _OfClass, over_time: list[dict[str, Any]]) -> dict[str, Any] | None:
    found = [average_precision(side) for side in one.ranks]
    if None in found:
        return None
    return {"n": one.scored, **dict(zip(SIDES, found, strict=True)), "over_time": over_time}


def _calibrated(one: _OfClass) -> dict[str, Any] | None:
    if not one.scored:
        return None
    return {"n": one.scored, **{side: _reliability(one.bins[i]) for i, side in enumerate(SIDES)}}


def _reliability(bins: np.ndarray) -> dict[str, Any]:
    """Return the expected calibration error, 0 to 1, with the bins that hold labels.

    The mean distance of the probability from the share that came true, each bin weighted by its labels
    (Naeini, Cooper and Hauskrecht 2015).
    """
    n = bins[:, 0]
    held = np.flatnonzero(n)
    mean, share = (np.minimum(bins[held, i] / n[held], 1.0) for i in (1, 2))
    return {
        "error": float(np.abs(mean - share) @ n[held] / n.sum()),
        "bins": [
            {"low": at / BINS, "high": (at + 1) / BINS, "n": int(n[at]), "mean": m, "share": s}
            for at, m, s in zip(held.tolist(), mean.tolist(), share.tolist(), strict=True)
        ],
    }
