"""Embedding vectors: direction and length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from shadowserve.divergence.align import Outputs, align
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
    Measure("disagreement", 0, 1),
    Measure("cosine_distance", 0, 2),
    Measure("norm_shift", -1, 1, Swap.SIGN),
)


@dataclass(frozen=True, slots=True)
class VectorDivergence:
    """Compare vectors of numbers of one length.

    ``disagreement``
        ‖a - b‖ / (‖a‖ + ‖b‖), and 0 where all elements agree within tolerance: 0 same, 1 opposite,
        or one of them zero.
    ``cosine_distance``
        1 - cos(a, b): 0 same direction, 1 at a right angle (or one of them zero), 2 opposite.
    ``norm_shift``
        (‖lane‖ - ‖champion‖) / max of both; above 0 the lane's is longer.

    Vectors of different length differ in structure. Elements null on both sides are left out.
    """

    tolerance: Tolerance = DEFAULT_TOLERANCE
    kind: Kind = Kind.VECTOR
    measures: tuple[Measure, ...] = MEASURES

    def compare(self, champion: Outputs, lane: Outputs) -> Compared:
        """Compare two sequences of n_rows vectors; see `Divergence.compare`."""
        both = paired(align(champion, lane))

        def measure(rows: np.ndarray) -> tuple[Mapping[str, np.ndarray], np.ndarray]:
            a, b = both.champion[rows], both.lane[rows]
            close = np.all(self.tolerance.within(a, b), axis=1)
            found = _measure(a, b)
            return {**found, "disagreement": np.where(close, 0.0, found["disagreement"])}, close

        return compared(both.aligned, measures=MEASURES, measured=both.measured, measure=measure)


def _measure(a: np.ndarray, b: np.ndarray) -> dict[str, np.ndarray]:
    # divided by the largest element, so that squares neither overflow nor vanish
    largest = np.maximum(np.abs(a).max(axis=1, initial=0), np.abs(b).max(axis=1, initial=0))
    scale = np.where(largest > 0, largest, 1.0)[:, None]
    a, b = a / scale, b / scale
    a_norm, b_norm = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    cosine = _ratio((a * b).sum(axis=1), a_norm * b_norm)
    return {
        "disagreement": np.minimum(1.0, _ratio(np.linalg.norm(a - b, axis=1), a_norm + b_norm)),
        "cosine_distance": np.clip(1.0 - cosine, 0.0, 2.0),
        "norm_shift": _ratio(b_norm - a_norm, np.maximum(a_norm, b_norm)),
    }


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.asarray(np.divide(part, whole, out=np.zeros_like(part), where=whole > 0))
