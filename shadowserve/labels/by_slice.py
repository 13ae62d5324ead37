"""The loss of both versions in each part of the traffic that the slices know; it decides nothing.

Lanes note which cells a request lies in. A label finds its request there, and its loss is added to each
of the cells: sums of fixed size, however many labels come.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Self

import numpy as np

from shadowserve.labels.losses import Wrong
from shadowserve.statistics.slices import SliceSearch

LEAST = 30
"""Labels below which a part of the traffic is not shown."""

MOST_SHOWN = 20
_MARKS = 2

Cells = Callable[[Sequence[int]], Mapping[int, tuple[str, bytes]]]
"""Positions to the mark and the packed cells of each request that is known."""


class _Sums:
    """Labels, and the champion's and the challenger's loss, in all and by cell."""

    def __init__(self, n_cells: int) -> None:
        self.whole = np.zeros(3)
        self.cells = np.zeros((n_cells, 3))

    def add(self, bits: bytes, loss: Wrong) -> None:
        inside = np.unpackbits(np.frombuffer(bits, dtype=np.uint8)).astype(np.bool_)
        one = np.asarray([1.0, loss.champion, loss.challenger])
        self.whole += one
        self.cells[inside[: len(self.cells)]] += one


class BySlice:
    """Sums by the cells of one search for slices; where a lane begins anew, by its new cells too."""

    def __init__(self) -> None:
        self._sums: dict[str, _Sums] = {}

    def add(self, losses: Mapping[int, Wrong], cells: Mapping[int, tuple[str, bytes]]) -> None:
        """Take in losses by position; those of which no cells are known are left out."""
        for position, loss in losses.items():
            if position not in cells or not loss.known:
                continue
            mark, bits = cells[position]
            if mark not in self._sums:
                self._sums = dict([*self._sums.items(), (mark, _Sums(8 * len(bits)))][-_MARKS:])
            self._sums[mark].add(bits, loss)

    def to_dict(
        self, search: SliceSearch | None, *, measure: str | None, show: Collection[str | int]
    ) -> dict[str, Any] | None:
        """Return the parts with labels enough, the one in which the challenger does worst first.

        Parameters
        ----------
        search : SliceSearch or None
            The lane's: it says what its cells stand for.
        measure : str or None
            What was added.
        show : collection of column names
            Columns whose values may be told.
        """
        sums = self._sums.get(search.mark) if search is not None else None
        if search is None or sums is None or measure is None:
            return None
        rows: list[dict[str, Any]] = []
        for place, condition in search.cells():
            n, champion, challenger = sums.cells[place] if place < len(sums.cells) else (0, 0, 0)
            # What holds every label is no part of the traffic.
            if not LEAST <= n < sums.whole[0]:
                continue
            rows.append(
                {
                    "columns": [condition.column],
                    "slice": condition.describe(show_value=condition.column in show),
                    "n": int(n),
                    **_means(n, champion, challenger),
                }
            )
        rows.sort(key=lambda row: -row["difference"])
        n, champion, challenger = sums.whole
        return {
            "measure": measure,
            "n": int(n),
            **_means(n, champion, challenger),
            "least": LEAST,
            "slices": rows[:MOST_SHOWN],
        }

    def state(self) -> dict[str, Any]:
        """Return everything as JSON-able values."""
        return {
            mark: [sums.whole.tolist(), sums.cells.tolist()] for mark, sums in self._sums.items()
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any] | None) -> Self:
        """Read what `state` wrote; where an earlier release wrote nothing, it begins with the next label."""
        it = cls()
        for mark, (whole, cells) in (state or {}).items():
            it._sums[mark] = _Sums(len(cells))
            it._sums[mark].whole = np.asarray(whole, dtype=np.float64)
            it._sums[mark].cells = np.asarray(cells, dtype=np.float64).reshape(-1, 3)
        return it


def _means(n: float, champion: float, challenger: float) -> dict[str, float]:
    return {
        "champion": champion / n,
        "challenger": challenger / n,
        "difference": (challenger - champion) / n,
    }
