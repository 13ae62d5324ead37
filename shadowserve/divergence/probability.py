"""Probability vectors, laid side by side by class and never by position."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from shadowserve.divergence.align import Aligned, Outputs, align, plain
from shadowserve.divergence.blocks import paired
from shadowserve.divergence.compared import (
    DEFAULT_TOLERANCE,
    Compared,
    Kind,
    Measure,
    Swap,
    Tolerance,
    compared,
)

MEASURES = (
    Measure("total_variation", 0, 1),
    Measure("jensen_shannon", 0, 1),
    Measure("shift", -1, 1, Swap.FREE),
    Measure("flip", 0, 1),
)


@dataclass(frozen=True, slots=True)
class ProbabilityDivergence:
    """Compare probability vectors.

    ``total_variation``
        Half the sum of |p - q|: 0 same, 1 disjoint. The largest difference in probability of any
        event.
    ``jensen_shannon``
        Jensen-Shannon distance with logarithms to base 2 (Endres & Schindelin 2003; what
        `scipy.spatial.distance.jensenshannon` returns): 0 same, 1 disjoint.
    ``shift``
        Lane minus champion, of the positive class where there are two, else of the champion's top
        class; above 0 the lane is surer.
    ``flip``
        1 if the decision changes: the positive class crosses `threshold` where there are two, else
        another class is on top.

    Parameters
    ----------
    champion_classes, lane_classes : tuple, optional
        Class labels in the order of each side's columns. Columns are then aligned by class, and a
        class that one side lacks has probability 0 there; `missing` names it. Without them columns
        are taken to be in the same order, and another length is a difference of structure.
    threshold : float
        Decision threshold of the positive class, the second of two.

    Notes
    -----
    Rows may be lists, ndarrays, dicts by class, or single numbers (of the positive class).
    """

    champion_classes: tuple[Any, ...] | None = None
    lane_classes: tuple[Any, ...] | None = None
    threshold: float = 0.5
    tolerance: Tolerance = DEFAULT_TOLERANCE
    kind: Kind = Kind.PROBABILITY
    measures: tuple[Measure, ...] = MEASURES

    @property
    def missing(self) -> dict[str, tuple[Any, ...]]:
        """Classes that one side lacks, by side; both empty where classes are not known."""
        champion, lane = self.champion_classes or (), self.lane_classes or ()
        return {
            "champion": tuple(c for c in lane if c not in champion) if champion else (),
            "lane": tuple(c for c in champion if c not in lane) if lane else (),
        }

    def compare(self, champion: Outputs, lane: Outputs) -> Compared:
        """Compare two sequences of n_rows probability vectors; see `Divergence.compare`."""
        champion, lane = _by_class(
            _vectors(champion), _vectors(lane), self.champion_classes, self.lane_classes
        )
        both = paired(align(champion, lane))

        def measure(rows: np.ndarray) -> tuple[Mapping[str, np.ndarray], np.ndarray]:
            p, q = both.champion[rows], both.lane[rows]
            close = np.all(self.tolerance.within(p, q), axis=1)
            return self._measure(p, q, _two_classes(both.aligned, rows)), close

        return compared(both.aligned, measures=MEASURES, measured=both.measured, measure=measure)

    def _measure(self, p: np.ndarray, q: np.ndarray, two: np.ndarray) -> dict[str, np.ndarray]:
        everyone, top = np.arange(len(p)), p.argmax(axis=1)
        watched = np.where(two, 1, top)
        before, after = p[everyone, watched], q[everyone, watched]
        crossed = (before >= self.threshold) != (after >= self.threshold)
        return {
            "total_variation": np.clip(np.abs(p - q).sum(axis=1) / 2, 0.0, 1.0),
            "jensen_shannon": jensen_shannon(p, q),
            "shift": np.clip(after - before, -1.0, 1.0),
            "flip": np.where(two, crossed, q.argmax(axis=1) != top).astype(np.float64),
        }


def jensen_shannon(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Jensen-Shannon distance of each row, base 2.

    Parameters
    ----------
    p, q : ndarray of shape (n_rows, n_classes), float64, not negative
        Rows are scaled to sum to 1; a row without any mass is as far as can be from one with mass.

    Returns
    -------
    ndarray of shape (n_rows,), float64, in [0, 1]
    """
    p_mass, q_mass = np.clip(p, 0, None).sum(axis=1), np.clip(q, 0, None).sum(axis=1)
    p = np.clip(p, 0, None) / np.where(p_mass > 0, p_mass, 1.0)[:, None]
    q = np.clip(q, 0, None) / np.where(q_mass > 0, q_mass, 1.0)[:, None]
    middle = (p + q) / 2
    divergence = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2
    distance = np.sqrt(np.clip(divergence, 0.0, 1.0))
    return np.where((p_mass > 0) == (q_mass > 0), distance, 1.0)


def _relative_entropy(p: np.ndarray, middle: np.ndarray) -> np.ndarray:
    # the middle of the smallest float and 0 is 0
    ratio = np.divide(p, middle, out=np.ones_like(p), where=(p > 0) & (middle > 0))
    return np.asarray((p * np.log2(ratio)).sum(axis=1))


def _two_classes(aligned: Aligned, rows: np.ndarray) -> np.ndarray:
    return np.array([len(aligned.champion[i]) == 2 for i in rows.tolist()], dtype=bool)


def _vectors(outputs: Outputs) -> list[Any]:
    """Return single probabilities as [1 - p, p]; everything else as it is."""
    rows = outputs.tolist() if isinstance(outputs, np.ndarray) else list(outputs)
    return [[1.0 - v, v] if _is_number(v) else v for v in map(_plain_row, rows)]


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= 1e300


def _plain_row(row: Any) -> Any:
    return row if type(row) in (list, dict, float) else plain(row)


def _by_class(
    champion: list[Any],
    lane: list[Any],
    champion_classes: tuple[Any, ...] | None,
    lane_classes: tuple[Any, ...] | None,
) -> tuple[list[Any], list[Any]]:
    """Bring both sides into one order of classes, filling with 0 what a side lacks."""
    if champion_classes and lane_classes and champion_classes != lane_classes:
        extra = [c for c in lane_classes if c not in champion_classes]
        order = [*champion_classes, *extra]
        champion = [_spread(row, champion_classes, order) for row in champion]
        lane = [_spread(row, lane_classes, order) for row in lane]
    if any(type(row) is dict for row in champion) and any(type(row) is dict for row in lane):
        pairs = [_spread_dicts(a, b) for a, b in zip(champion, lane, strict=False)]
        if len(champion) == len(lane):
            champion, lane = [a for a, _ in pairs], [b for _, b in pairs]
    return champion, lane


def _spread(row: Any, classes: tuple[Any, ...], order: list[Any]) -> Any:
    if type(row) is not list or len(row) != len(classes):
        return row
    by_class = dict(zip(classes, row, strict=True))
    return [by_class.get(c, 0.0) for c in order]


def _spread_dicts(a: Any, b: Any) -> tuple[Any, Any]:
    if type(a) is not dict or type(b) is not dict:
        return a, b
    order = [*a, *(c for c in b if c not in a)]
    return [a.get(c, 0.0) for c in order], [b.get(c, 0.0) for c in order]
