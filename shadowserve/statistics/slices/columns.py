"""The columns of some rows as searches take them: each brought into the cells' form once, whoever asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shadowserve.statistics.slices.canonical import Kind, canonical


class Column:
    """One column in the form that cells understand.

    Parameters
    ----------
    values : ndarray of shape (n_rows,)
        As `canonical` returns it.
    """

    def __init__(self, values: NDArray[Any]) -> None:
        self.values = values
        self.keys: dict[Any, list[list[str]]] = {}
        """Names of the cells that each of `distinct` belongs to, by the rule that names them."""

    def taken(self, rows: NDArray[np.bool_]) -> Column:
        """Return some of the rows."""
        return self if rows.all() else Column(self.values[rows])

    @cached_property
    def _coded(self) -> tuple[NDArray[np.int64], NDArray[Any]]:
        codes, distinct = pd.factorize(self.values)
        return codes, distinct

    @property
    def codes(self) -> NDArray[np.int64]:
        """Place of each row's value among `distinct`, -1 for a missing one: ndarray of shape (n_rows,)."""
        return self._coded[0]

    @property
    def distinct(self) -> NDArray[Any]:
        """The values that rows have, in the order in which they come."""
        return self._coded[1]

    @cached_property
    def times(self) -> list[int]:
        """How many rows have each of `distinct`."""
        counted: list[int] = np.bincount(self.codes + 1, minlength=len(self.distinct) + 1).tolist()
        return counted[1:]

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Characters of each row's text, -1 where it is missing: ndarray of shape (n_rows,)."""
        texts = self.values.tolist()
        return np.array([-1 if text is None else len(text) for text in texts], dtype=np.int64)


class Columns(Mapping[Any, NDArray[Any]]):
    """The columns of some rows, by name.

    Parameters
    ----------
    columns : mapping of name to ndarray of shape (n_rows,)
        None of them changes any more.
    """

    def __init__(self, columns: Mapping[Any, NDArray[Any]]) -> None:
        self._columns = columns
        self._made: dict[tuple[Any, Kind], Column] = {}

    @classmethod
    def of(cls, columns: Mapping[Any, NDArray[Any]]) -> Columns:
        """Return those that are there, or lay out others."""
        return columns if isinstance(columns, Columns) else cls(columns)

    def column(self, name: Any, kind: Kind) -> Column:
        """Return a column in the form of a kind, which is made when it is asked for first."""
        if (name, kind) not in self._made:
            self._made[name, kind] = Column(canonical(np.asarray(self._columns[name]), kind))
        return self._made[name, kind]

    def taken(self, rows: NDArray[np.bool_]) -> Columns:
        """Return some of the rows, as they came."""
        if rows.all():
            return self
        return Columns({name: values[rows] for name, values in self._columns.items()})

    def __getitem__(self, name: Any) -> NDArray[Any]:
        """Return a column as it came."""
        return self._columns[name]

    def __iter__(self) -> Iterator[Any]:
        """Go through the names."""
        return iter(self._columns)

    def __len__(self) -> int:
        """Return the number of columns."""
        return len(self._columns)
