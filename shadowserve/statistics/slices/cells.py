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

from collections import Counter
from collections.abc import Mapping
from math import floor, log10
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shadowserve.schema.disclosure import Disclosure, Rule
from shadowserve.statistics.slices.condition import Condition

BoolArray = NDArray[np.bool_]
Kind = Literal["number", "bool", "string"]

BINS = 8
LENGTH_BINS = 4
VALUES = 32
# The other places are left for values that become frequent later.
_EARLY_VALUES = 24
_CANDIDATES = 1_024
_LATE_COUNT = 8
_TEXT_LENGTH = 30
_LABEL_DIGITS = 8
# Beyond these widths a power of ten overflows or vanishes.
_ORDINARY = 1e-200


def kind_of(dtype: np.dtype[Any]) -> Kind:
    """Kind of column that values of a dtype make: number (also times), bool or string."""
    if dtype.kind == "b":
        return "bool"
    return "number" if dtype.kind in "iufmM" else "string"


def canonical(values: NDArray[Any], kind: Kind) -> NDArray[Any]:
    """Bring a column into the one form that cells understand.

    Parameters
    ----------
    values : ndarray of shape (n_rows,)
        As typed by the signature; None and NaN are missing. Lists become their members, joined.
    kind : {"number", "bool", "string"}
        See `kind_of`.

    Returns
    -------
    ndarray of shape (n_rows,)
        float64 with NaN for missing (numbers, booleans), or object with None for missing.
    """
    values = np.asarray(values)
    if kind == "string":
        if values.dtype.kind in "mM":
            values = np.where(np.isnat(values), np.array(None), values.astype(str).astype(object))
        found = values.tolist()
        return np.array([v if type(v) is str else _text(v) for v in found], dtype=object)
    if values.dtype.kind in "mM":
        return np.where(np.isnat(values), np.nan, values.astype(np.int64).astype(np.float64))
    if values.dtype == object:
        # What is no number counts as missing here: a search of slices refuses no row.
        return np.asarray(pd.to_numeric(pd.Series(values), errors="coerce"), dtype=np.float64)
    return values.astype(np.float64)


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple | set | np.ndarray):
        return "|".join(map(str, value))
    # NaN differs from itself, whichever type holds it.
    return None if value is None or value is pd.NA or value != value else str(value)


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

    def members(self, values: NDArray[np.float64], *, counted: bool = True) -> BoolArray:  # noqa: ARG002
        """Which cell each row is in: shape (n_rows, size), the last cell is "missing"."""
        cells = np.searchsorted(self.edges, values, side="right")
        # NaN sorts beyond every edge and would pass for the largest number.
        cells[np.isnan(values)] = BINS
        inside = np.zeros((values.size, self.size), dtype=np.bool_)
        inside[np.arange(values.size), cells] = True
        return inside

    @property
    def candidates(self) -> list[tuple[int, ...]]:
        """Runs of neighbouring ranges, short of all of them, and "missing"."""
        return [*_runs(self.edges.size + 1), (BINS,)]

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
        return _range(column, "range", self.edges, cells)

    def state(self) -> dict[str, Any]:
        """Everything that was learnt, as JSON-able values."""
        return {"edges": self.edges.tolist()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` wrote."""
        self.edges = np.asarray(state["edges"], dtype=np.float64)


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

    def members(self, values: NDArray[Any], *, counted: bool = True) -> BoolArray:
        """Which cells each row is in: shape (n_rows, size), the last cell is "missing".

        Values without a cell are counted, for `promote`, unless these rows were counted before.
        """
        # A value is looked up, and hashed, once a batch however many rows bear it.
        codes, unique = pd.factorize(values)
        kinds = np.zeros((len(unique) + 1, self.size), dtype=np.bool_)
        kinds[-1, -1] = True  # the code of a missing value is -1
        if self.text:
            lengths = [len(value) for value in unique]
            bins = VALUES + np.searchsorted(self.edges, lengths, side="right")
            kinds[np.arange(len(unique)), bins] = True
            return np.asarray(kinds[codes], dtype=np.bool_)
        times = np.bincount(codes + 1, minlength=len(unique) + 1).tolist()
        for code, value in enumerate(unique):
            for key in self._keys(value):
                if key in self.slots:
                    kinds[code, self.slots[key]] = True
                elif counted:
                    self._waiting[key] += times[code + 1]
        return np.asarray(kinds[codes], dtype=np.bool_)

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
        lengths = [tuple(VALUES + cell for cell in run) for run in _runs(self.edges.size + 1)]
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
            return _range(column, "length", self.edges, tuple(cell - VALUES for cell in cells))
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


def _runs(n_bins: int) -> list[tuple[int, ...]]:
    return [
        tuple(range(first, last))
        for first in range(n_bins)
        for last in range(first + 1, n_bins + 1)
        # A run of all ranges holds every row that is not missing: it is no slice.
        if last - first < n_bins
    ]


def _range(
    column: str | int, kind: str, edges: NDArray[np.float64], cells: tuple[int, ...]
) -> Condition:
    low = -np.inf if cells[0] == 0 else float(edges[cells[0] - 1])
    high = np.inf if cells[-1] == edges.size else float(edges[cells[-1]])
    return Condition(column, kind, low=low, high=high)
