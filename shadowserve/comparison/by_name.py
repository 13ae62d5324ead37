"""Numbers by name, one set a request: of steps, columns, measures or classes.

Most requests of a flush bear the same few names, and then the numbers are a matrix. Where names have no end,
as of a model without signature, each request keeps its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

MOST_SPARSE = 8
"""So many times more places than numbers a matrix may have; beyond, each request keeps its own."""


class ByName:
    """Numbers by name for each of `n` requests.

    Parameters
    ----------
    names : tuple of str
    values : ndarray of shape (n, n_names), float64
        Whole numbers are exact up to 2**53.
    known : ndarray of shape (n, n_names), bool
        Which request has which.

    Attributes
    ----------
    sparse : sequence of mapping or None
        Each request's own, where a matrix would be nearly empty: then there is none.
    """

    __slots__ = ("known", "names", "sparse", "values")

    def __init__(self, names: tuple[str, ...], values: np.ndarray, known: np.ndarray) -> None:
        self.names, self.values, self.known = names, values, known
        self.sparse: Sequence[Mapping[str, float]] | None = None

    @classmethod
    def none(cls, n: int) -> Self:
        """Return no number of `n` requests."""
        return cls((), np.zeros((n, 0)), np.zeros((n, 0), dtype=np.bool_))

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, float]], *, order: Sequence[str] = ()) -> Self:
        """Lay out what each request has.

        Parameters
        ----------
        rows : sequence of mapping
            One a request.
        order : sequence of str
            Names that go first, in this order, where any request has them; others as they come.

        Examples
        --------
        >>> ByName.of([{"a": 1.0, "b": 2.0}, {}, {"b": 3.0}]).column("b").tolist()
        [2.0, nan, 3.0]
        """
        met = dict.fromkeys(name for own in rows for name in own)
        names = tuple(dict.fromkeys((*(name for name in order if name in met), *met)))
        if len(names) * len(rows) > MOST_SPARSE * sum(map(len, rows)) + 64:
            it = cls.none(len(rows))
            it.names, it.sparse = names, rows
            return it
        known = np.array([[name in own for name in names] for own in rows], dtype=np.bool_)
        values = np.array([[own.get(name, np.nan) for name in names] for own in rows], np.float64)
        shape = (len(rows), len(names))
        return cls(names, values.reshape(shape), known.reshape(shape))

    def __len__(self) -> int:
        """Return the number of requests."""
        return len(self.values)

    def column(self, name: str) -> np.ndarray:
        """Return ndarray of shape (n,), float64: NaN for requests without it."""
        if self.sparse is not None:
            return np.array([own.get(name, np.nan) for own in self.sparse], dtype=np.float64)
        at = self.names.index(name)
        return np.where(self.known[:, at], self.values[:, at], np.nan)

    def has(self, name: str) -> np.ndarray:
        """Return which requests have it: ndarray of shape (n,), bool."""
        if self.sparse is not None:
            return np.array([name in own for own in self.sparse], dtype=np.bool_)
        return np.asarray(self.known[:, self.names.index(name)])

    def row(self, at: int) -> dict[str, float]:
        """Return a request's own, in the order of names."""
        if self.sparse is not None:
            return dict(self.sparse[at])
        values, known = self.values[at].tolist(), self.known[at].tolist()
        both = zip(self.names, values, known, strict=True)
        return {name: value for name, value, there in both if there}

    def taken(self, places: np.ndarray) -> Self:
        """Return those of some requests, with the names that they have."""
        if self.sparse is not None:
            return self.of([self.sparse[at] for at in places.tolist()])
        known = self.known[places]
        there = known.any(axis=0)
        names = tuple(name for name, own in zip(self.names, there.tolist(), strict=True) if own)
        return type(self)(names, self.values[places][:, there], known[:, there])

    def joined(self, other: Self) -> Self:
        """Return both, of which no request has numbers in either."""
        if not self.names:
            return other
        names = tuple(dict.fromkeys((*self.names, *other.names)))
        values = np.full((len(self), len(names)), np.nan)
        known = np.zeros(values.shape, dtype=np.bool_)
        for one in (self, other):
            at = [names.index(name) for name in one.names]
            values[:, at] = np.where(one.known, one.values, values[:, at])
            known[:, at] |= one.known
        return type(self)(names, values, known)
