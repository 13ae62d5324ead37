"""Cells: the ranges, values and lengths of one column that a row can belong to.

A slice is a cell, a run of neighbouring cells, or two of them together. Numbers fall into ranges
between quantiles, long text into lengths, other strings into their frequent values. A
``"Comedy|Drama"`` is also a Comedy and also a Drama. "Missing" is a cell of its own. The boundaries
are fixed from the first rows, so that a cell means the same for ever; the number of cells is
bounded.

A cell of a string is known by the salted hash of its value unless the column may be shown. What is
kept holds no values.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shadowserve.statistics.slices.condition import Condition

BoolArray = NDArray[np.bool_]


def runs(n_bins: int) -> list[tuple[int, ...]]:
    """Return every run of neighbours among `n_bins` ranges, short of all of them."""
    return [
        tuple(range(first, last))
        for first in range(n_bins)
        for last in range(first + 1, n_bins + 1)
        # A run of all ranges holds every row that is not missing: it is no slice.
        if last - first < n_bins
    ]


def range_of(
    column: str | int, kind: str, edges: NDArray[np.float64], cells: tuple[int, ...]
) -> Condition:
    """Say what a run of ranges between `edges` stands for; at either end it is open."""
    low = -np.inf if cells[0] == 0 else float(edges[cells[0] - 1])
    high = np.inf if cells[-1] == edges.size else float(edges[cells[-1]])
    return Condition(column, kind, low=low, high=high)
