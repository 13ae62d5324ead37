"""Numbers: how far off, in which direction, and beyond which tolerance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shadowserve.divergence.align import Outputs, Type, align, floats
from shadowserve.divergence.compared import (
    DEFAULT_TOLERANCE,
    Compared,
    Kind,
    Measure,
    Swap,
    Tolerance,
    compared,
)

_LARGEST = float(np.finfo(np.float64).max)
MEASURES = (
    Measure("disagreement", 0, 1),
    Measure("difference", -np.inf, np.inf, Swap.SIGN),
    Measure("absolute", 0, np.inf),
    Measure("relative", 0, 2),
    Measure("beyond_tolerance", 0, 1),
)


@dataclass(frozen=True, slots=True)
class NumberDivergence:
    """Compare numbers.

    Two whole numbers are compared exactly, whatever their size: no tolerance makes 2^53 and the next
    one alike.

    ``disagreement``
        |a - b| / (|a| + |b|), and 0 within tolerance: rounding is no disagreement. 0 same, 1 if
        the signs differ or one side is 0.
    ``difference``
        Lane minus champion, in the unit of the output; above 0 the lane says more.
    ``absolute``
        Its size.
    ``relative``
        |a - b| / max(|a|, |b|): 0.1 is ten percent of the larger; 0 where both are 0.
    ``beyond_tolerance``
        1 if the numbers differ by more than the tolerance.

    >>> NumberDivergence().compare([2.0, 1], [1.0, 1.0]).values["difference"].tolist()
    [-1.0, 0.0]
    """

    tolerance: Tolerance = DEFAULT_TOLERANCE
    kind: Kind = Kind.NUMBER
    measures: tuple[Measure, ...] = MEASURES

    def compare(self, champion: Outputs, lane: Outputs) -> Compared:
        """Compare two sequences of n_rows numbers; see `Divergence.compare`."""
        aligned = align(champion, lane)
        measured = aligned.comparable & (aligned.types == Type.NUMBER)

        def measure(rows: np.ndarray) -> tuple[Mapping[str, np.ndarray], np.ndarray]:
            sides = _rows(aligned.champion, rows), _rows(aligned.lane, rows)
            return self._measure(*map(floats, sides), exact=_whole_apart(*sides))

        return compared(aligned, measures=MEASURES, measured=measured, measure=measure)

    def _measure(
        self, champion: np.ndarray, lane: np.ndarray, *, exact: np.ndarray
    ) -> tuple[Mapping[str, np.ndarray], np.ndarray]:
        whole = ~np.isnan(exact)
        close = self.tolerance.within(champion, lane) & ~whole
        with np.errstate(over="ignore"):
            difference = np.clip(lane - champion, -_LARGEST, _LARGEST)
        difference = np.where(whole, exact, difference)
        # halves: two numbers near the largest float neither overflow nor lose their ratio
        apart = np.where(whole, np.abs(exact / 2), np.abs(lane / 2 - champion / 2))
        a, b = np.abs(champion) / 2, np.abs(lane) / 2
        found = {
            "disagreement": np.where(close, 0.0, np.minimum(1.0, _ratio(apart, a / 2 + b / 2) / 2)),
            "difference": difference,
            "absolute": np.abs(difference),
            "relative": _ratio(apart, np.maximum(a, b)),
            "beyond_tolerance": (~close).astype(np.float64),
        }
        return found, close


def _rows(outputs: Sequence[Any], rows: np.ndarray) -> Sequence[Any]:
    return outputs if rows.size == len(outputs) else [outputs[i] for i in rows.tolist()]


def _whole_apart(champion: Sequence[Any], lane: Sequence[Any]) -> np.ndarray:
    """Return lane minus champion where both are whole numbers, taken exactly; NaN elsewhere."""
    return floats(
        [
            b - a if type(a) is int and type(b) is int else np.nan
            for a, b in zip(champion, lane, strict=True)
        ]
    )


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole, 0 where both are 0."""
    return np.asarray(np.divide(part, whole, out=np.zeros_like(part), where=whole > 0))
