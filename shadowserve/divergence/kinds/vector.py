"""Embedding vectors: direction and length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from shadowserve.divergence.align import Outputs, align
from shadowserve.divergence.blocks import paired
from shadowserve.divergence.compared import (
    DISAGREEMENT,
    Compared,
    Measure,
    Swap,
    compared,
)
from shadowserve.divergence.kind import Given, OutputKind
from shadowserve.divergence.signs import Declared, Form, Sample, Values
from shadowserve.divergence.tolerance import DEFAULT_TOLERANCE, Tolerance
from shadowserve.settings.vocabulary import Kind

LEAST_LENGTH = 8
"""Of a list of numbers below which they are several outputs."""

MEASURES = (
    DISAGREEMENT,
    Measure(
        "cosine_distance",
        0,
        2,
        meaning="angle between the two vectors: 0 the same direction, 2 opposite ones",
    ),
    Measure(
        "norm_shift",
        -1,
        1,
        Swap.SIGN,
        "how much longer the challenger's vector is, as a share of both",
    ),
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
    kind: str = Kind.VECTOR
    measures: tuple[Measure, ...] = MEASURES

    def compare(self, champion: Outputs, lane: Outputs) -> Compared:
        """Compare two sequences of n_rows vectors; see `Divergence.compare`."""
        both = paired(align(champion, lane))

        def measure(rows: np.ndarray) -> tuple[Mapping[str, np.ndarray], np.ndarray]:
            a, b = both.champion[rows], both.lane[rows]
            # Rounding in a thousand elements adds up to a distance; none of them differs.
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


class Vector(OutputKind):
    """Vectors: direction and length."""

    name = Kind.VECTOR
    measures = MEASURES

    def make(self, given: Given) -> VectorDivergence:
        """Return what compares vectors."""
        return VectorDivergence()

    def is_shown_by(self, sample: Sample) -> bool:
        """Whether all are long lists of numbers."""
        return sample.has_lists_of_floats and min(sample.widths) >= LEAST_LENGTH

    def is_declared_by(self, signature: Declared) -> bool:
        """Whether it is a list of numbers, long or of any length."""
        is_long = signature.width is None or signature.width >= LEAST_LENGTH
        return signature.form is Form.LIST and signature.values is Values.NUMBER and is_long
