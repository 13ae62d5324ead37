"""The inputs of steps: frames built from parsed columns, equal to those that slicing would give.

scikit-learn slices a frame by label for every branch of a `ColumnTransformer`, which costs more
than many a transformer. Here a branch's frame is laid out straight from the columns, with the same
dtypes, column index and row index. Blocks lie in memory in the same order, since BLAS sums in
another order over another layout. Every frame is private, so a transformer may write into its
input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import _safe_indexing

from shadowserve.schema.rows import Rows

try:
    from pandas.api.internals import (  # type: ignore[import-not-found]
        create_dataframe_from_blocks,
    )
except ImportError:  # before pandas 3
    create_dataframe_from_blocks = None

# What pandas makes of a column of strings: its own `str` type since 3.0, plain objects before.
_TEXT = pd.Series(["text"]).dtype
_PLAIN_KINDS = "fiub"


class Columns:
    """The columns of one scoring, from which each branch's input is laid out.

    Parameters
    ----------
    arrays : mapping of name to array of shape (n_rows,)
        As they came; never written to.
    index : Index of length n_rows
        Row labels that every frame gets.
    """

    __slots__ = ("_typed", "arrays", "index")

    def __init__(self, arrays: Mapping[Any, Any], index: pd.Index) -> None:
        self.arrays = arrays
        self.index = index
        self._typed: dict[Any, Any] = {}

    @classmethod
    def of_rows(cls, rows: Rows) -> Columns:
        """Take the columns of typed rows, under the index that `Rows.frame` would give."""
        arrays = {**rows.columns, **rows.missing_text()} if rows.text else rows.columns
        columns = cls(arrays, pd.RangeIndex(rows.n_rows))
        columns._typed.update({name: arrays[name] for name in rows.untyped})
        return columns

    @classmethod
    def of_frame(cls, frame: pd.DataFrame) -> Columns:
        """Take the columns of a frame whose names are unique."""
        return cls({name: _held(column) for name, column in frame.items()}, frame.index.view())

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.index), len(self.arrays)

    def array(self, name: Any) -> Any:
        """Return a column as a frame would hold it: numbers as they are, strings as `str`."""
        typed = self._typed.get(name)
        if typed is None:
            typed = self._typed[name] = _as_pandas_holds(self.arrays[name])
        return typed

    def whole(self) -> pd.DataFrame:
        """Return all columns as a frame of one's own, as `Rows.frame` does."""
        names = tuple(self.arrays)
        return self.frame(names, _labels(names))

    def series(self, name: str) -> pd.Series:
        """Return one column as a series that shares no memory with the others."""
        values, index = self.array(name), self.index.view()
        column: pd.Series = pd.Series(values, index, values.dtype, name, copy=True)
        return column

    def frame(self, names: Sequence[Any], labels: pd.Index) -> pd.DataFrame:
        """Return some columns as a frame that shares no memory with the others.

        Parameters
        ----------
        names : sequence of str
            Which, in this order.
        labels : Index
            The same names as an index, made once.
        """
        arrays = [self.array(name) for name in names]
        if create_dataframe_from_blocks is None or not len(self.index):
            return pd.DataFrame(dict(zip(names, arrays, strict=True)), index=self.index, copy=True)
        frame: pd.DataFrame = create_dataframe_from_blocks(
            _blocks(arrays), index=self.index.view(), columns=labels.view()
        )
        return frame


@lru_cache(maxsize=256)
def _labels(names: tuple[Any, ...]) -> pd.Index:
    """Make an index once for all runs; frames get a view of it."""
    labels: pd.Index = pd.DataFrame(dict.fromkeys(names, ())).columns
    return labels


def _as_pandas_holds(values: Any) -> Any:
    if not isinstance(values, np.ndarray) or values.dtype.kind in _PLAIN_KINDS:
        return values
    if values.dtype == object and len(values) and all(type(v) is str for v in values.tolist()):
        return _text(values)
    return _held(pd.Series(values, copy=True))


def _held(column: pd.Series) -> Any:
    """Return what a frame's block would be made of: an ndarray, else an extension array."""
    return column.to_numpy() if isinstance(column.dtype, np.dtype) else column.array


def _text(values: np.ndarray) -> Any:
    if isinstance(_TEXT, np.dtype):
        return values
    make: Any = _TEXT.construct_array_type()
    return make._from_sequence(values, dtype=_TEXT)


def _blocks(arrays: Sequence[Any]) -> list[tuple[Any, np.ndarray]]:
    """Lay columns of one dtype side by side in memory, as a consolidated frame does."""
    places: dict[Any, list[int]] = {}
    blocks: list[tuple[Any, np.ndarray]] = []
    for place, values in enumerate(arrays):
        if isinstance(values, np.ndarray):
            places.setdefault(values.dtype, []).append(place)
        else:
            blocks.append((values.copy(), np.array([place])))
    for chosen in places.values():
        # Concatenating copies, so the frame shares no memory with its siblings.
        together = np.concatenate([arrays[place] for place in chosen])
        blocks.append((together.reshape(len(chosen), -1), np.array(chosen)))
    return blocks


class Labelled:
    """Select by the names that were seen in fit.

    Parameters
    ----------
    names : sequence of str
        In the order of the declaration.
    declared : Any
        The declaration itself, for input that is no frame. A bare name or place gives a series, as
        a text vectorizer wants it.
    exact : bool
        Slice frames by label only. What scikit-learn cuts out may share memory with the whole, and
        a transformer that writes into its input then writes into its siblings' too.
    """

    def __init__(self, names: Sequence[str], *, declared: Any, exact: bool = False) -> None:
        self.names = tuple(names)
        self.exact = exact
        self.declared = declared
        self.is_scalar = bool(np.isscalar(declared))
        self._labels = _labels(self.names)
        self._key: Any = np.array(self.names, dtype=object)

    def from_columns(self, columns: Columns) -> Any:
        """Lay the input out from the columns."""
        if self.is_scalar:
            return columns.series(self.names[0])
        return columns.frame(self.names, self._labels)

    def __call__(self, values: Any) -> Any:
        """Slice a frame, by position where that is the same and quicker."""
        if not isinstance(values, pd.DataFrame):
            return _safe_indexing(values, self.declared, axis=1)
        if self.is_scalar:
            return _safe_indexing(values, self.names[0], axis=1)
        if not self.exact and type(values) is pd.DataFrame and values.columns.is_unique:
            places = values.columns.get_indexer(self._key)
            # A name that is not there must raise scikit-learn's own error below.
            if (places >= 0).all():
                return values.take(places, axis=1)
        return _safe_indexing(values, self._key, axis=1)


@dataclass(frozen=True, slots=True)
class Placed:
    """Select as declared: by position, slice or mask, out of an array or a frame without names."""

    key: Any

    def __call__(self, values: Any) -> Any:
        """Slice as scikit-learn does."""
        return _safe_indexing(values, self.key, axis=1)


Selector = Labelled | Placed
