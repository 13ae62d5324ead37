"""Counts of rows and disagreement by cell and by pair of cells, in bounded memory."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shadowserve.schema.disclosure import Disclosure, Rule
from shadowserve.statistics.sequential.evidence import FloatArray
from shadowserve.statistics.slices.canonical import Kind
from shadowserve.statistics.slices.cells import BoolArray
from shadowserve.statistics.slices.columns import Column, Columns
from shadowserve.statistics.slices.number_cells import NumberCells
from shadowserve.statistics.slices.packed import packed, unpacked
from shadowserve.statistics.slices.row_sample import RowSample
from shadowserve.statistics.slices.string_cells import StringCells

ColumnName = str | int
Run = tuple[ColumnName, tuple[int, ...]]

FIRST_ROWS = 256
"""Rows that fix the cells: octiles of so many are steady, and a fault is still found early."""

MOST_EXACT = 2**24
"""From here on float32 does not hold every whole number."""

# Pairs are counted in a square matrix: memory grows with the square of this.
PAIRED_CELLS = 96
# Rows scored again tell noise from fault, no boundaries, so fewer of them do.
KEPT_AGAIN = 512
# Pairs of a rarer cell are too small to prove; those of a cell of nearly all rows equal the other half.
_PAIR_SHARES = (0.02, 0.98)
_ARRAYS = ("n", "totals", "since", "paired", "pair_n", "pair_totals")


class CellCounts:
    """Counts of every cell of every column, of pairs of common cells, and a sample of rows.

    Parameters
    ----------
    columns : mapping of name to kind
        See `shadowserve.statistics.slices.kind_of`.
    disclosure : Disclosure
        What may be kept of each column's values; a dropped column is not counted at all.

    Attributes
    ----------
    n_rows, total : int, float
        Rows counted, and the sum of their disagreement.
    n, totals : ndarray of shape (n_cells,)
        The same by cell; a cell that began late counts from then on, `since` holds what came before.
    pair_n, pair_totals : ndarray of shape (n_paired, n_paired)
        The same for pairs among the cells `paired`.
    kept : dict of bool to RowSample
        Rows that agree wholly (True) and that do not (False).
    again : RowSample
        Rows that were scored again since they differ, with 1 where they differ as before, else 0.
    mark : str
        Of these cells, which are fixed once: what was noted of rows under another mark is of other cells.
    """

    def __init__(self, columns: Mapping[ColumnName, Kind], *, disclosure: Disclosure) -> None:
        self.disclosure = disclosure
        ruled = {name: disclosure.rule(name) for name in columns}
        self.rules = {name: rule for name, rule in ruled.items() if rule is not Rule.DROPPED}
        self.columns: dict[ColumnName, Kind] = {
            # A hash keeps no order: hashed numbers have values, and no ranges.
            name: "string" if rule is Rule.HASHED else columns[name]
            for name, rule in self.rules.items()
        }
        self.cells: dict[ColumnName, NumberCells | StringCells] = {}
        kinds = self.columns.values()
        sizes = [StringCells.size if kind == "string" else NumberCells.size for kind in kinds]
        # Each column owns its places from the start, so a value that earns a cell late moves no other.
        starts = np.cumsum([0, *sizes]).tolist()
        self.offsets = dict(zip(self.columns, starts, strict=False))
        self.size = starts[-1]
        self.n_rows = 0
        self.total = 0.0
        self.n = np.zeros(self.size)
        self.totals = np.zeros(self.size)
        self.since = np.zeros((2, self.size))
        self.paired = np.zeros(0, dtype=np.int64)
        self.pair_n = np.zeros((0, 0))
        self.pair_totals = np.zeros((0, 0))
        self.kept = {agreed: RowSample(self.size) for agreed in (True, False)}
        self.again = RowSample(self.size, most=KEPT_AGAIN)
        self.mark = ""
        self._waiting: list[tuple[dict[ColumnName, Column], FloatArray]] = []
        self._first: dict[ColumnName, NDArray[Any]] = {}
        self._first_values = np.zeros(0)

    def add(
        self, columns: Mapping[ColumnName, NDArray[Any]], disagreement: ArrayLike
    ) -> BoolArray | None:
        """Take in rows; see `shadowserve.statistics.slices.SliceSearch.add`."""
        values = np.asarray(disagreement, dtype=np.float64)
        known = ~np.isnan(values)
        values = np.clip(values[known], 0.0, 1.0)
        if not self.columns:
            return None
        laid = self._laid_out(columns, known)
        if self.cells:
            members = self._members(laid)
            self._count(members, values)
            return self._laid(members, known)
        self._first = {
            name: np.concatenate([self._first[name], own.values]) if self._first else own.values
            for name, own in laid.items()
        }
        self._first_values = np.concatenate([self._first_values, values])
        if self._first_values.size >= FIRST_ROWS:
            self._begin()
            # `_begin` has counted these rows; counted twice, their values would earn a cell too soon.
            return self._laid(self._members(laid, counted=False), known)
        return None

    def add_again(self, columns: Mapping[ColumnName, NDArray[Any]], same: FloatArray) -> None:
        """Take in rows that were scored again; see `shadowserve.statistics.slices.SliceSearch.add_again`."""
        known = ~np.isnan(same)
        if not self.columns or not known.any():
            return
        laid = self._laid_out(columns, known)
        if self.cells:
            self.again.append(self._members(laid, counted=False), same[known])
        elif len(self._waiting) < FIRST_ROWS:
            self._waiting.append((laid, same[known]))

    def runs(self) -> list[Run]:
        """Every candidate on one column, as the column's name and the cells that make it up."""
        return [
            (name, tuple(self.offsets[name] + cell for cell in run))
            for name, cells in self.cells.items()
            for run in cells.candidates
        ]

    def totals_of(self, runs: list[Run]) -> tuple[FloatArray, FloatArray]:
        """Rows and summed disagreement of each run: two ndarrays of shape (n_runs,), float64."""
        n = np.array([self.n[list(cells)].sum() for _, cells in runs])
        return n, np.array([self.totals[list(cells)].sum() for _, cells in runs])

    def widened(self, column: ColumnName, cells: tuple[int, ...]) -> tuple[int, ...]:
        """Return a run of ranges with its neighbours, others as they are."""
        offset = self.offsets[column]
        own = self.cells[column].widened(tuple(cell - offset for cell in cells))
        return tuple(offset + cell for cell in own)

    def state(self) -> dict[str, Any]:
        """Everything as JSON-able values, for `restore` on counts of the same columns.

        Rows that wait for the cells to be fixed are left out: they are values.
        """
        return {
            "n_rows": self.n_rows,
            "mark": self.mark,
            "total": self.total,
            "cells": [cells.state() for cells in self.cells.values()],
            "arrays": {name: packed(getattr(self, name)) for name in _ARRAYS},
            "kept": [self.kept[agreed].state() for agreed in (True, False)],
            "again": self.again.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` wrote."""
        self.n_rows, self.total = state["n_rows"], state["total"]
        if state["cells"]:  # an earlier release fixed them without a mark
            self.mark = state.get("mark") or secrets.token_hex(4)
        for name, array in state["arrays"].items():
            setattr(self, name, unpacked(array))
        for agreed, kept in zip((True, False), state["kept"], strict=True):
            self.kept[agreed].restore(kept)
        self.again.restore(state["again"])
        for (name, kind), cells in zip(self.columns.items(), state["cells"], strict=False):
            self.cells[name] = self._make(name, kind, np.array([], dtype=object))
            self.cells[name].restore(cells)

    def _make(self, name: ColumnName, kind: Kind, first: NDArray[Any]) -> NumberCells | StringCells:
        if kind == "string":
            return StringCells(first, disclosure=self.disclosure, rule=self.rules[name])
        return NumberCells(first.astype(np.float64), kind=kind)

    def _begin(self) -> None:
        """Fix the cells, and which of them are paired, from the first rows; then count those."""
        self.mark = secrets.token_hex(4)
        first, values = self._first, self._first_values
        self._first, self._first_values = {}, np.zeros(0)
        for name, kind in self.columns.items():
            self.cells[name] = self._make(name, kind, first[name])
        members = self._members({name: Column(values) for name, values in first.items()})
        shares = members.mean(axis=0)
        common = np.flatnonzero((shares >= _PAIR_SHARES[0]) & (shares <= _PAIR_SHARES[1]))
        largest = common[np.argsort(-shares[common], kind="stable")][:PAIRED_CELLS]
        self.paired = np.sort(largest)
        self.pair_n = np.zeros((self.paired.size, self.paired.size))
        self.pair_totals = np.zeros((self.paired.size, self.paired.size))
        self._count(members, values)
        # Rows were scored again before the cells existed that they are members of.
        for laid, same in self._waiting:
            self.again.append(self._members(laid, counted=False), same)
        self._waiting = []

    def _laid_out(
        self, columns: Mapping[ColumnName, NDArray[Any]], known: BoolArray
    ) -> dict[ColumnName, Column]:
        shared = Columns.of(columns)
        return {n: shared.column(n, kind).taken(known) for n, kind in self.columns.items()}

    def _members(self, laid: Mapping[ColumnName, Column], *, counted: bool = True) -> BoolArray:
        found = [cells.members(laid[name], counted=counted) for name, cells in self.cells.items()]
        return np.hstack(found)

    def _laid(self, members: BoolArray, known: BoolArray) -> BoolArray:
        """Lay the cells of the rows that counted among all rows that came."""
        if known.all():
            return members
        whole = np.zeros((known.size, self.size), dtype=np.bool_)
        whole[known] = members
        return whole

    def _count(self, members: BoolArray, values: FloatArray) -> None:
        differs = values > 0
        # Nearly all rows agree and add nothing; without them the products below are small.
        weighted = members[differs] * values[differs, None]
        # Counts of a call are whole numbers that float32 holds, in half of the time.
        exact = np.dtype(np.float32 if values.size < MOST_EXACT else np.float64)
        paired: NDArray[np.floating[Any]] = members[:, self.paired].astype(exact)
        self.n += members.sum(axis=0)
        self.totals += weighted.sum(axis=0)
        self.pair_n += paired.T @ paired
        self.pair_totals += weighted[:, self.paired].T @ paired[differs].astype(np.float64)
        rows = self.n_rows + np.arange(values.size)
        for agreed, these in ((True, ~differs), (False, differs)):
            self.kept[agreed].add(rows[these], members[these], values[these])
        self.n_rows += values.size
        self.total += float(values.sum())
        for name, cells in self.cells.items():
            if isinstance(cells, StringCells):
                # After the batch is counted: none of its rows stands in the cell that begins here.
                for cell in cells.promote(n_rows=self.n_rows):
                    self.since[:, self.offsets[name] + cell] = self.n_rows, self.total
