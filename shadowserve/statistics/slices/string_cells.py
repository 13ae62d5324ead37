"""The cells of a column of strings: frequent values or members, lengths of text, and "missing"."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shadowserve.schema.disclosure import Disclosure, Rule
from shadowserve.statistics.slices.canonical import Kind
from shadowserve.statistics.slices.cells import BoolArray, range_of, runs
from shadowserve.statistics.slices.columns import Column
from shadowserve.statistics.slices.condition import Condition

LENGTH_BINS = 4
"""Ranges of a text's length, between quarters of the first rows."""

VALUES = 32
"""Values that have a cell. Every one more raises the bar of all, and adds to memory for good."""

_EARLY_VALUES = 24
"""Of them from the first rows; the other places are left for values that become frequent later."""

_CANDIDATES = 1_024
"""Values without a cell that are counted. A column of ids has no end of them."""

_LATE_COUNT = 8
"""How often a value has come when it earns a cell; of 1,600 rows and more, one in 200 of them."""

_TEXT_LENGTH = 30
"""Characters of the mean value, from which a column is text: told by length, not by value."""

_LABEL_DIGITS = 8
"""Hex digits of a hash that a reader is shown; a column has at most `VALUES` labels to tell apart."""


class StringCells:
    """Frequent values and members of a string column, lengths if it is text, and missingness.

    Parameters
    ----------
    first : ndarray of shape (n_rows,), object
        The first rows: their frequent values get a cell; others may earn one later.
    disclosure : Disclosure
        Hashes values, so that nobody can guess one by hashing a list of candidates.
    rule : Rule
        ``SHOWN`` keeps the values themselves, ``HASHED`` knows whole values only: neither members
        nor lengths.
    """

    size = VALUES + LENGTH_BINS + 1
    most_candidates = VALUES + LENGTH_BINS * (LENGTH_BINS + 1) // 2

    def __init__(
        self, first: NDArray[Any], *, disclosure: Disclosure, rule: Rule = Rule.LABELLED
    ) -> None:
        known = [value for value in first.tolist() if value is not None]
        self._disclosure, self._rule = disclosure, rule
        lengths = np.array([len(value) for value in known], dtype=np.float64)
        whole = rule is Rule.HASHED
        self.many = not whole and sum("|" in value for value in known) > 0.02 * len(known)
        long = lengths.size and lengths.mean() > _TEXT_LENGTH
        self.text = bool(long and not whole and not self.many)
        quarters = np.quantile(lengths, [0.25, 0.5, 0.75]) if self.text else np.zeros(0)
        self.edges = np.unique(quarters)
        self.slots: dict[str, int] = {}
        self._waiting: Counter[str] = Counter()
        counts = Counter(key for value in known for key in self._keys(value))
        for key, count in counts.most_common(_EARLY_VALUES):
            # A value seen once or twice may be an id; it can still earn a cell later.
            if count >= 3:
                self.slots[key] = len(self.slots)

    def members(self, column: Column, *, counted: bool = True) -> BoolArray:
        """Which cells each row is in: shape (n_rows, size), the last cell is "missing".

        Values without a cell are counted, for `promote`, unless these rows were counted before.
        """
        if self.text:
            lengths = column.lengths
            cells = VALUES + np.searchsorted(self.edges, lengths, side="right")
            cells[lengths < 0] = self.size - 1
            inside = np.zeros((lengths.size, self.size), dtype=np.bool_)
            inside[np.arange(lengths.size), cells] = True
            return inside
        # A value is looked up, and hashed, once a batch however many rows bear it.
        kinds = np.zeros((len(column.distinct) + 1, self.size), dtype=np.bool_)
        kinds[-1, -1] = True  # the code of a missing value is -1
        for code, keys in enumerate(self._named(column)):
            for key in keys:
                if key in self.slots:
                    kinds[code, self.slots[key]] = True
                elif counted:
                    self._waiting[key] += column.times[code]
        return np.asarray(kinds[column.codes], dtype=np.bool_)

    def _named(self, column: Column) -> list[list[str]]:
        """Return the keys of each distinct value; searches under one rule name them alike."""
        rule = (self.many, self._rule, self._disclosure.salt)
        if rule not in column.keys:
            column.keys[rule] = [self._keys(value) for value in column.distinct]
        return column.keys[rule]

    def promote(self, *, n_rows: int) -> list[int]:
        """Give a cell to values that have become frequent among `n_rows`; return the new cells."""
        # A column of ids never repeats: without this bound, names seen once would fill the memory.
        if len(self._waiting) > _CANDIDATES:
            self._waiting = Counter(dict(self._waiting.most_common(_CANDIDATES // 2)))
        free = VALUES - len(self.slots)
        enough = max(_LATE_COUNT, 0.005 * n_rows)
        new = [key for key, count in self._waiting.items() if count >= enough][:free]
        for key in new:
            self.slots[key] = len(self.slots)
            del self._waiting[key]
        return [self.slots[key] for key in new]

    @property
    def candidates(self) -> list[tuple[int, ...]]:
        """Each value by itself, runs of neighbouring lengths, and "missing"."""
        values = [(slot,) for slot in self.slots.values()]
        lengths = [tuple(VALUES + cell for cell in run) for run in runs(self.edges.size + 1)]
        return [*values, *(lengths if self.text else []), (self.size - 1,)]

    def widened(self, cells: tuple[int, ...]) -> tuple[int, ...]:
        """Return a run of lengths together with its two neighbours; a value stays alone."""
        if not VALUES <= cells[0] < self.size - 1:
            return cells
        last = min(cells[-1] + 1, VALUES + self.edges.size)
        return tuple(range(max(cells[0] - 1, VALUES), last + 1))

    def condition(self, column: str | int, cells: tuple[int, ...], *, kind: Kind) -> Condition:  # noqa: ARG002
        """Say what a run of cells stands for."""
        if cells == (self.size - 1,):
            return Condition(column, "missing")
        if cells[0] >= VALUES:
            return range_of(column, "length", self.edges, tuple(cell - VALUES for cell in cells))
        key = next(key for key, slot in self.slots.items() if slot == cells[0])
        kind_of_key = "member" if key[0] == "+" else "value"
        shown = self._rule is Rule.SHOWN
        # Only a column that may be shown has its values as keys; the keys of others are digests.
        digest = self._disclosure.digest(key[1:]) if shown else key[1:]
        value = key[1:] if shown else None
        return Condition(column, kind_of_key, label=f"#{digest[:_LABEL_DIGITS]}", value=value)

    def state(self) -> dict[str, Any]:
        """Everything that was learnt, as JSON-able values."""
        return {
            "edges": self.edges.tolist(),
            "many": self.many,
            "text": self.text,
            "slots": self.slots,
            "waiting": dict(self._waiting),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` wrote."""
        self.edges = np.asarray(state["edges"], dtype=np.float64)
        self.many, self.text = state["many"], state["text"]
        self.slots = dict(state["slots"])
        self._waiting = Counter(state["waiting"])

    def _keys(self, value: str) -> list[str]:
        """Names of the cells a value belongs to: "=" the whole value, "+" a member of it."""
        if self.text:
            return []
        if not self.many:
            return [f"={self._name(value)}"]
        parts = [part.strip() for part in value.split("|")]
        whole = [f"={self._name(value)}"] if len(parts) > 1 else []
        return [*(f"+{self._name(part)}" for part in dict.fromkeys(parts)), *whole]

    def _name(self, value: str) -> str:
        return value if self._rule is Rule.SHOWN else self._disclosure.digest(value)
