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
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils import _safe_indexing

from shadowserve.schema.rows import Rows

try:
    import pyarrow as pa
except (
    ImportError
):  # an isolated version's environment may have none; then pandas holds texts without it
    pa = None

try:
    from pandas.api.internals import (  # type: ignore[import-not-found]
        create_dataframe_from_blocks,
    )
except ImportError:  # before pandas 3
    create_dataframe_from_blocks = None

# What pandas makes of a column of strings: its own `str` type since 3.0, plain objects before.
_TEXT = pd.Series(["text"]).dtype
_PLAIN_KINDS = "fiub"
_NUMBERS = frozenset(np.dtype(name) for name in ("float64", "float32", "int64", "int32"))

Layout = Literal["numbers", "categories", "texts"]
"""What a step's input may be instead of a frame: the array that scikit-learn would make of it."""


class Columns:
    """The columns of one scoring, from which each branch's input is laid out.

    Parameters
    ----------
    arrays : mapping of name to array of shape (n_rows,)
        As they came; never written to.
    index : Index of length n_rows
        Row labels that every frame gets.
    """

    __slots__ = ("_texts", "_typed", "arrays", "index", "untyped")

    def __init__(self, arrays: Mapping[Any, Any], index: pd.Index) -> None:
        self.arrays = arrays
        self.index = index
        self.untyped: frozenset[Any] = frozenset()
        self._typed: dict[Any, Any] = {}
        self._texts: dict[Any, np.ndarray | None] = {}

    @classmethod
    def of_rows(cls, rows: Rows) -> Columns:
        """Take the columns of typed rows, under the index that `Rows.frame` would give."""
        arrays = {**rows.columns, **rows.missing_text()} if rows.text else rows.columns
        columns = cls(arrays, _index(rows.n_rows))
        columns._typed.update({name: arrays[name] for name in rows.untyped})
        columns.untyped = rows.untyped
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

    def laid_out(self, layout: Layout, names: Sequence[Any]) -> np.ndarray | None:
        """Return the array that scikit-learn makes of a frame of some columns; None where it may differ.

        Returns
        -------
        ndarray of shape (n_rows, n_names), or (n_rows,) for ``"texts"``
            Not to be written to: texts may be the request's own.
        """
        if not len(self.index):
            return None
        if layout == "texts":
            return self._text(names[0]) if len(names) == 1 else None
        numbers = self._numbers(names, one_dtype=layout == "categories")
        return self._categories(names) if numbers is None and layout == "categories" else numbers

    def _numbers(self, names: Sequence[Any], *, one_dtype: bool) -> np.ndarray | None:
        arrays = [self.arrays[name] for name in names]
        dtypes = [values.dtype for values in arrays]
        if not _NUMBERS.issuperset(dtypes) or (one_dtype and len(set(dtypes)) > 1):
            return None
        # A column after another in memory, as in a frame's block and in what is made of several.
        together = np.empty((len(arrays), len(self.index)), dtype=np.result_type(*dtypes))
        for place, values in enumerate(arrays):
            together[place] = values
        return together.T

    def _categories(self, names: Sequence[Any]) -> np.ndarray | None:
        texts = [self._text(name) for name in names]
        if any(values is None for values in texts):
            return None
        return np.stack(texts, axis=1)  # type: ignore[arg-type]

    def _text(self, name: Any) -> np.ndarray | None:
        """Return a column that holds nothing but strings as an array of them, else None."""
        if name not in self._texts:
            self._texts[name] = None if name in self.untyped else _strings(self.arrays[name])
        return self._texts[name]

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
            told, index = dict(zip(names, arrays, strict=True)), self.index.view()
            return pd.DataFrame(told, index=index, copy=True)
        frame: pd.DataFrame = create_dataframe_from_blocks(
            _blocks(arrays), index=self.index.view(), columns=labels.view()
        )
        return frame


@lru_cache(maxsize=64)
def _index(n_rows: int) -> pd.Index:
    """Make the index of so many rows once for all runs; frames get a view of it, which they may name."""
    return pd.RangeIndex(n_rows)


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


def _strings(values: Any) -> np.ndarray | None:
    if values.dtype == _TEXT and not isinstance(values, np.ndarray):
        values = values.to_numpy(dtype=object)
    if not isinstance(values, np.ndarray) or values.dtype != object:
        return None
    texts = values.tolist()
    # Half a surrogate is a string to Python, and an error to a frame.
    return values if all(type(text) is str and _is_whole(text) for text in texts) else None


def _is_whole(text: str) -> bool:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return False
    return True


def _held(column: pd.Series) -> Any:
    """Return what a frame's block would be made of: an ndarray, else an extension array."""
    return column.to_numpy() if isinstance(column.dtype, np.dtype) else column.array


def _text(values: np.ndarray) -> Any:
    if isinstance(_TEXT, np.dtype):
        return values
    make: Any = _TEXT.construct_array_type()
    if getattr(_TEXT, "storage", None) == "pyarrow":
        # They are known to be texts, which pandas would look for once more.
        return make(pa.array(values, type=pa.large_string()), dtype=_TEXT)
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

    def lay_out(self, layout: Layout, columns: Columns) -> Any:
        """Lay the input out without a frame where that makes no difference, else as one."""
        if self.is_scalar == (layout == "texts"):
            values = columns.laid_out(layout, self.names)
            if values is not None:
                return Laid(values, columns, self)
        return self.from_columns(columns)

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


class Laid(NamedTuple):
    """A step's input without a frame, and what the frame would be made of."""

    values: np.ndarray
    columns: Columns
    labelled: Labelled

    def stock(self) -> Any:
        """Return the frame or series itself."""
        return self.labelled.from_columns(self.columns)


@dataclass(frozen=True, slots=True)
class Placed:
    """Select as declared: by position, slice or mask, out of an array or a frame without names."""

    key: Any

    def __call__(self, values: Any) -> Any:
        """Slice as scikit-learn does."""
        return _safe_indexing(values, self.key, axis=1)


Selector = Labelled | Placed
