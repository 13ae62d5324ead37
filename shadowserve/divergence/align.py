"""Two sequences of JSON values laid side by side, row by row, before anything is measured.

Here it is decided what is null, what differs in type, and what is equal; the kinds measure only
what is left.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np
import pandas as pd

# one output a row, as JSON values or as an array whose first axis is rows
Outputs = Sequence[Any] | np.ndarray


class Type(IntEnum):
    """Types of a JSON value. Integer and float are one: 1 and 1.0 are equal."""

    NULL = 0
    BOOLEAN = 1
    NUMBER = 2
    STRING = 3
    LIST = 4
    OBJECT = 5


_TYPES = {
    type(None): Type.NULL,
    bool: Type.BOOLEAN,
    int: Type.NUMBER,
    float: Type.NUMBER,
    str: Type.STRING,
    list: Type.LIST,
    tuple: Type.LIST,
    dict: Type.OBJECT,
}
_NUMBERS = frozenset({int, float})
# without floats, which may be NaN; True and 1 never meet, since both sides have one same type
_UNIFORM = {int: Type.NUMBER, str: Type.STRING, bool: Type.BOOLEAN}
_NAMES = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "list",
    tuple: "list",
    dict: "object",
}


def plain(value: Any) -> Any:
    """Return a value as JSON would have it: numpy scalars and arrays unpacked, pd.NA and NaT null."""
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value.tolist()]
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if value is pd.NA or value is pd.NaT:
        return None
    return value if type(value) in _TYPES else str(value)


def plain_rows(outputs: Outputs) -> Sequence[Any]:
    """Return outputs as JSON values; as they are where they are JSON values already."""
    if isinstance(outputs, np.ndarray):
        return list(outputs.tolist())
    # A lane reads answers from JSON, so nearly always there is nothing to unpack and nothing to
    # copy.
    if all(t in _TYPES for t in set(map(type, outputs))):
        return outputs
    return [plain(value) for value in outputs]


def type_of(value: Any) -> Type:
    """Return a JSON value's type; NaN and infinities are null."""
    if type(value) is float and not math.isfinite(value):
        return Type.NULL
    return _TYPES[type(value)]


def type_name(value: Any) -> str:
    """Return the name of a value's type, as JSON schemas have it; lists with their length."""
    name = _NAMES.get(type(value), type(value).__name__)
    return f"list[{len(value)}]" if name == "list" else name


@dataclass(frozen=True, slots=True)
class Aligned:
    """Two sequences of n_rows JSON values; all arrays of shape (n_rows,).

    Parameters
    ----------
    champion, lane : sequence of JSON values
    types : ndarray of int8
        The champion's `Type` of each row.
    structure, nan_mismatch, equal : ndarray of bool
        Exclusive of each other, except that lists may both be measured and differ in length.
    champion_nonfinite, lane_nonfinite : ndarray of bool
    of_lengths : pair of str, optional
        Set where the two sequences have different lengths, and no row can be laid beside another.
    """

    champion: Sequence[Any]
    lane: Sequence[Any]
    types: np.ndarray
    structure: np.ndarray
    nan_mismatch: np.ndarray
    equal: np.ndarray
    champion_nonfinite: np.ndarray
    lane_nonfinite: np.ndarray
    of_lengths: tuple[str, str] | None = None

    @property
    def comparable(self) -> np.ndarray:
        """Rows with a value of one and the same type on both sides."""
        if self.of_lengths:
            return np.zeros(len(self.champion), dtype=bool)
        same = self.types >= 0
        return np.asarray(same & ~self.nan_mismatch & (self.types != Type.NULL))

    def with_structure(self, differs: np.ndarray) -> Aligned:
        """Mark further rows as different in structure."""
        if not differs.any():
            return self
        return replace(self, structure=self.structure | differs, equal=self.equal & ~differs)

    def with_equal(self, equal: np.ndarray) -> Aligned:
        """Mark further rows as equal."""
        return replace(self, equal=self.equal | equal)

    def with_nulls(
        self, *, champion: np.ndarray, lane: np.ndarray, mismatch: np.ndarray, equal: np.ndarray
    ) -> Aligned:
        """Mark rows that hold nulls, rows whose nulls are apart, and rows equal but for NaN."""
        return replace(
            self,
            champion_nonfinite=self.champion_nonfinite | champion,
            lane_nonfinite=self.lane_nonfinite | lane,
            nan_mismatch=self.nan_mismatch | mismatch,
            # Of two lists that are equal but for a null on one side, the null decides.
            equal=(self.equal | equal) & ~mismatch,
        )

    def differing_types(self) -> Iterator[tuple[str, str]]:
        """Yield the pair of types of each row whose structure differs."""
        if self.of_lengths:
            yield self.of_lengths
            return
        for i in np.flatnonzero(self.structure).tolist():
            yield differing(self.champion[i], self.lane[i])


def differing(champion: Any, lane: Any) -> tuple[str, str]:
    """Return the two types, or for lists of one length those of the first items that differ."""
    pair = (type_name(champion), type_name(lane))
    # Two lists of one length bear one name, and the difference lies in their items.
    if pair[0] == pair[1] and isinstance(champion, list | tuple):
        for a, b in zip(champion, lane, strict=True):
            if type_of(a) != type_of(b):
                return f"list of {type_name(a)}", f"list of {type_name(b)}"
    return pair


def align(champion: Outputs, lane: Outputs) -> Aligned:
    """Lay two sequences of outputs side by side.

    Where their lengths differ nothing can be laid side by side: every row of the champion is a
    difference of structure.
    """
    champion, lane = plain_rows(champion), plain_rows(lane)
    # Which row answers which is not known any more, so no row may pass for equal.
    if len(champion) != len(lane):
        return _unalignable(champion, lane)
    n_rows = len(champion)
    champion_kinds, lane_kinds = set(map(type, champion)), set(map(type, lane))
    # Most batches are numbers or texts throughout. Type codes row by row would cost more than
    # comparing.
    if champion_kinds == lane_kinds and len(lane_kinds) == 1:
        uniform = _UNIFORM.get(next(iter(lane_kinds)))
        if uniform is not None:
            return _of_one_type(champion, lane, uniform)
    champion_types, lane_types = _type_codes(champion), _type_codes(lane)
    champion_null, lane_null = champion_types == Type.NULL, lane_types == Type.NULL
    # A null beside a value is no other type: it is counted as a missing value.
    structure = (champion_types != lane_types) & ~champion_null & ~lane_null
    # In Python true equals 1; in JSON they are two types.
    equal = _equal(champion, lane, n_rows) & (champion_types == lane_types)
    return Aligned(
        champion=champion,
        lane=lane,
        types=np.where(structure, -1, champion_types),
        structure=structure,
        nan_mismatch=champion_null ^ lane_null,
        equal=equal | (champion_null & lane_null),
        champion_nonfinite=champion_null,
        lane_nonfinite=lane_null,
    )


def _of_one_type(champion: Sequence[Any], lane: Sequence[Any], kind: Type) -> Aligned:
    n_rows = len(champion)
    nothing = np.zeros(n_rows, dtype=bool)
    types = np.full(n_rows, kind, dtype=np.int8)
    equal = _equal(champion, lane, n_rows)
    return Aligned(champion, lane, types, nothing, nothing, equal, nothing, nothing)


def _unalignable(champion: Sequence[Any], lane: Sequence[Any]) -> Aligned:
    n_rows = len(champion)
    nothing, everything = np.zeros(n_rows, dtype=bool), np.ones(n_rows, dtype=bool)
    types = np.full(n_rows, -1, dtype=np.int8)
    lengths = (f"{n_rows} rows", f"{len(lane)} rows")
    return Aligned(
        champion, lane, types, everything, nothing, nothing, nothing, nothing, of_lengths=lengths
    )


def _type_codes(outputs: Sequence[Any]) -> np.ndarray:
    return np.fromiter(map(type_of, outputs), dtype=np.int8, count=len(outputs))


def _equal(champion: Sequence[Any], lane: Sequence[Any], n_rows: int) -> np.ndarray:
    return np.fromiter(map(operator.eq, champion, lane), dtype=bool, count=n_rows)


def floats(outputs: Sequence[Any]) -> np.ndarray:
    """Return numbers as ndarray of shape (n_rows,), float64; whatever is no number is NaN."""
    kinds = set(map(type, outputs))
    # A boolean would become 1.0, a text of digits a number.
    if not kinds <= _NUMBERS:
        outputs = [v if type(v) in _NUMBERS else math.nan for v in outputs]
    try:
        return np.array(outputs, dtype=np.float64)
    except OverflowError:
        # An integer beyond 1.8e308, which JSON may hold and a float may not.
        return np.array([_float(v) for v in outputs])


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        # Infinity would count as a missing value; the largest float is as far off as can be told.
        return sys.float_info.max if value > 0 else -sys.float_info.max
