"""The sampled rows that no named slice has explained yet."""

from __future__ import annotations

import numpy as np

from shadowserve.statistics.slices.candidates import higher
from shadowserve.statistics.slices.cells import BoolArray
from shadowserve.statistics.slices.counts import CellCounts, Run


class Remaining:
    """The kept rows outside all slices named so far."""

    def __init__(self, counts: CellCounts) -> None:
        # Two samples, of rows that agree and that do not: in one plain sample, rare disagreement
        # would hardly occur.
        self._members = np.concatenate([kept.members() for kept in counts.kept.values()])
        self._values = np.concatenate([kept.values for kept in counts.kept.values()])
        self._counts = counts

    def leave_out(self, runs: tuple[Run, ...]) -> None:
        """Leave out a named slice, and where it is a range its neighbours too.

        The true boundary seldom is that of a cell. Were the neighbours kept, the strip between the
        two would be named next, by this column and by all correlated ones.
        """
        wide = tuple((name, self._counts.widened(name, cells)) for name, cells in runs)
        outside = ~inside(self._members, wide)
        self._members, self._values = self._members[outside], self._values[outside]

    def evidence(self, candidates: list[tuple[Run, ...]]) -> list[float]:
        """Log evidence for each candidate among the rows that remain."""
        if not self._values.size:
            return [-np.inf] * len(candidates)
        held = np.array([inside(self._members, runs) for runs in candidates], dtype=np.float64)
        held = held.reshape(len(candidates), -1)
        n, total = held.sum(axis=1), held @ self._values
        n_all, total_all = self._values.size, self._values.sum()
        found: list[float] = higher(n, total, n_all - n, total_all - total).tolist()
        return found


def inside(members: BoolArray, runs: tuple[Run, ...]) -> BoolArray:
    """Which rows are in all of some runs of cells."""
    found = np.ones(len(members), dtype=np.bool_)
    for _, cells in runs:
        found &= members[:, list(cells)].any(axis=1)
    return found
