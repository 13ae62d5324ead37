"""The cells of a column of numbers or booleans: ranges between quantiles, and "missing"."""

from __future__ import annotations

from collections.abc import Mapping
from math import floor, log10
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shadowserve.statistics.slices.canonical import Kind
from shadowserve.statistics.slices.cells import BoolArray, range_of, runs
from shadowserve.statistics.slices.columns import Column
from shadowserve.statistics.slices.condition import Condition

BINS = 8
"""Ranges of a number: an eighth of the traffic is enough rows to prove, and small enough to tell."""

# Beyond these widths a power of ten overflows or vanishes.
_ORDINARY = 1e-200


class NumberCells:
    """Ranges of a number, its truth if it is a boolean, and its missingness.

    Parameters
    ----------
    first : ndarray of shape (n_rows,), float64
        The first rows; their quantiles, rounded to three digits, become the boundaries. Between
        few values it is the shortest number that separates them.
    """

    size = BINS + 1
    most_candidates = BINS * (BINS + 1) // 2

    def __init__(self, first: NDArray[np.float64], *, kind: Kind = "number") -> None:
        known = np.unique(first[np.isfinite(first)]) if kind == "number" else np.array([0.0, 1.0])
        if known.size <= BINS:
            apart = map(_between, known[:-1].tolist(), known[1:].tolist())
            self.edges = np.asarray(list(apart), dtype=np.float64)
        else:
            octiles = np.quantile(first[np.isfinite(first)], np.arange(1, BINS) / BINS)
            self.edges = np.unique([float(f"{edge:.3g}") for edge in octiles])

    def members(self, column: Column, *, counted: bool = True) -> BoolArray:  # noqa: ARG002
        """Which cell each row is in: shape (n_rows, size), the last cell is "missing"."""
        values = column.values
        cells = np.searchsorted(self.edges, values, side="right")
        # NaN sorts beyond every edge and would pass for the largest number.
        cells[np.isnan(values)] = BINS
        inside = np.zeros((values.size, self.size), dtype=np.bool_)
        inside[np.arange(values.size), cells] = True
        return inside

    @property
    def candidates(self) -> list[tuple[int, ...]]:
        """Runs of neighbouring ranges, short of all of them, and "missing"."""
        return [*runs(self.edges.size + 1), (BINS,)]

    def widened(self, cells: tuple[int, ...]) -> tuple[int, ...]:
        """Return a run of ranges together with its two neighbours."""
        if cells == (BINS,) or self.edges.size <= 1:
            return cells
        return tuple(range(max(cells[0] - 1, 0), min(cells[-1] + 1, self.edges.size) + 1))

    def condition(self, column: str | int, cells: tuple[int, ...], *, kind: Kind) -> Condition:
        """Say what a run of cells stands for."""
        if cells == (BINS,):
            return Condition(column, "missing")
        if kind == "bool":
            return Condition(column, "true" if cells[0] else "false")
        return range_of(column, "range", self.edges, cells)

    def state(self) -> dict[str, Any]:
        """Everything that was learnt, as JSON-able values."""
        return {"edges": self.edges.tolist()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` wrote."""
        self.edges = np.asarray(state["edges"], dtype=np.float64)


def _between(low: float, high: float) -> float:
    """Return the shortest number above `low` and not above `high`.

    Examples
    --------
    >>> _between(1.0, 2.0), _between(0.5, 98765.4321987), _between(-0.25, 0.125)
    (2.0, 90000.0, 0.0)
    """
    if not _ORDINARY < high - low < 1 / _ORDINARY:
        return high
    power = floor(log10(high - low)) + 1
    for digits in (-power, 1 - power, 2 - power):
        edge = round(floor(high * 10.0**digits) / 10.0**digits, max(digits, 0))
        if low < edge <= high:
            return edge
    return high
