"""A sample of rows with their cells: what tells what a named slice leaves unexplained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shadowserve.statistics.sequential.evidence import FloatArray
from shadowserve.statistics.slices.cells import BoolArray
from shadowserve.statistics.slices.packed import packed, unpacked

KEPT_ROWS = 2_048
"""Rows of a sample unless told otherwise. With a bit for each cell they weigh some 100 kB."""


class RowSample:
    """The rows whose hashed number is smallest: a fair sample of fixed size, without dice."""

    def __init__(self, n_cells: int, *, most: int = KEPT_ROWS) -> None:
        self.n_cells = n_cells
        self._most = most
        self.n = 0
        self._keys = np.zeros(0, dtype=np.uint64)
        self._bits = np.zeros((0, (n_cells + 7) // 8), dtype=np.uint8)
        self.values = np.zeros(0)

    def append(self, members: BoolArray, values: FloatArray) -> None:
        """Take in rows that bear no number of their own."""
        self.add(self.n + np.arange(values.size), members, values)

    def add(self, rows: NDArray[np.int64], members: BoolArray, values: FloatArray) -> None:
        """Take in rows, keeping so many of all that ever came."""
        self.n += rows.size
        keys = _hashed(rows)
        if self._keys.size == self._most:
            # Keys are kept in order: what lies above the last of a full sample cannot get in.
            chosen = keys < self._keys[-1]
            keys, members, values = keys[chosen], members[chosen], values[chosen]
        if not keys.size:
            return
        keys = np.concatenate([self._keys, keys])
        order = np.argsort(keys)[: self._most]
        self._keys = keys[order]
        # A bit for each cell: an eighth of the memory, and of the state file, that booleans take.
        self._bits = np.concatenate([self._bits, np.packbits(members, axis=1)])[order]
        self.values = np.concatenate([self.values, values])[order]

    def members(self) -> BoolArray:
        """Cells of the kept rows, shape (n_kept, n_cells)."""
        return np.unpackbits(self._bits, axis=1, count=self.n_cells).astype(np.bool_)

    def state(self) -> dict[str, Any]:
        """Everything as JSON-able values."""
        return {
            "n": self.n,
            "keys": packed(self._keys),
            "bits": packed(self._bits),
            "values": packed(self.values),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` wrote."""
        self.n = state["n"]
        self._keys, self._bits = unpacked(state["keys"]), unpacked(state["bits"])
        self.values = unpacked(state["values"])


def _hashed(rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Mix row numbers so that neighbours land anywhere (the finalizer of SplitMix64)."""
    # Unsigned arithmetic wraps around, which is what the mixing is made of.
    mixed = rows.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
