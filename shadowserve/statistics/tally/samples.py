"""Bounded samples: the worst rows, and positions drawn alike in every process.

Both are deterministic. They depend on the rows alone, not on their order, on a seed or on how the
stream was cut into batches.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from shadowserve.statistics.stored import Part, Stored, plain

# key, minus position, payload as JSON text: ordered as a tuple, whatever the payload
Row = tuple[float, int, str]


class Worst(Stored):
    """The `size` rows with the largest keys, with position and a payload.

    Equal keys keep the earlier position. Not the first rows and not the last: the largest.

    >>> w = Worst(2)
    >>> w.add(np.array([0.1, 0.9, 0.5]), np.array([11, 12, 13]))
    >>> [(row["position"], row["key"]) for row in w.rows()]
    [(12, 0.9), (13, 0.5)]
    """

    parts: ClassVar = {
        "size": plain,
        "rows": Part(
            lambda heap: [list(row) for row in sorted(heap)], lambda rows: list(map(tuple, rows))
        ).at("_heap"),
    }
    given = ("size",)
    label = "worst"

    __slots__ = ("_heap", "size")

    def __init__(self, size: int = 50) -> None:
        self.size = size
        self._heap: list[Row] = []

    def add(
        self, keys: np.ndarray, positions: np.ndarray, payloads: Sequence[Any] | None = None
    ) -> None:
        """Take a batch.

        Parameters
        ----------
        keys : ndarray of shape (n_rows,)
            What is ranked; NaN and infinities are passed over.
        positions : ndarray of shape (n_rows,), integers
            Journal positions; rows of one request share theirs.
        payloads : sequence of JSON values, optional
            Kept with the row, such as request ids.
        """
        keep = np.isfinite(keys)
        if len(self._heap) == self.size:
            # Not above alone: of equal keys the earlier position is to stay.
            least, at, _ = self._heap[0]
            keep &= (keys > least) | ((keys == least) & (positions <= -at))
        for i in np.flatnonzero(keep).tolist():
            payload = "null" if payloads is None else json.dumps(payloads[i], sort_keys=True)
            # The position counts downwards, so that of equal keys the smallest tuple is the latest row.
            self._offer((float(keys[i]), -int(positions[i]), payload))

    def _offer(self, row: Row) -> None:
        if len(self._heap) < self.size:
            heapq.heappush(self._heap, row)
        elif row > self._heap[0]:
            heapq.heapreplace(self._heap, row)

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows, worst first: key, position, payload."""
        ordered = sorted(self._heap, reverse=True)
        return [{"key": k, "position": -p, "payload": json.loads(text)} for k, p, text in ordered]

    def summary(self) -> dict[str, Any]:
        """Return the rows, worst first."""
        return {"rows": self.rows()}


_MASK = 2**64 - 1


def hash_position(position: int, *, salt: int = 0) -> float:
    """Return what `hash_positions` gives for one position, in a microsecond.

    Examples
    --------
    >>> hash_position(7) == float(hash_positions(np.array([7]))[0])
    True
    """
    x = (position + salt * 0x9E3779B97F4A7C15 + 1) & _MASK
    x = (x * 0x9E3779B97F4A7C15) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return float((x ^ (x >> 31)) >> 11) * 2.0**-53


def hash_positions(positions: np.ndarray, *, salt: int = 0) -> np.ndarray:
    """Spread positions evenly over [0, 1), the same way in every process and on every day.

    SplitMix64's finalizer (Steele, Lea & Flood, OOPSLA 2014, section 4.1).

    Parameters
    ----------
    positions : ndarray of shape (n_rows,), integers
    salt : int
        Another salt gives an unrelated order.

    Returns
    -------
    ndarray of shape (n_rows,), float64
    """
    x = positions.astype(np.uint64) + np.uint64((salt * 0x9E3779B97F4A7C15 + 1) % 2**64)
    x = x * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    # The upper 53 bits: a float64 holds no more without rounding, which could reach 1.
    return ((x ^ (x >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) * 2.0**-53
