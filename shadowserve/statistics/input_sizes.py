"""Sizes of inputs: what is measured of a value, and how a column's sizes lie in all of the traffic.

Growth is fitted on what was timed, and told at the sizes that production sends.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from shadowserve.statistics.stored import Stored, array, plain

_OCTAVES = 48
"""Doublings of size that are told apart; the last holds all beyond 2 ** 48."""


def sizes(values: NDArray[Any]) -> NDArray[np.int64] | None:
    """Size of each value: characters of a string, bytes, or items of a list or array.

    Parameters
    ----------
    values : ndarray of shape (n_rows,) or (n_rows, ...)
        One column. A missing value has size 0.

    Returns
    -------
    ndarray of shape (n_rows,), int64, or None
        None for numbers, booleans and times: their size never changes.

    Examples
    --------
    >>> sizes(np.array(["ab", None, ""], dtype=object)).tolist()
    [2, 0, 0]
    >>> sizes(np.array([1.5, 2.5])) is None
    True
    """
    if values.ndim > 1:
        return np.full(values.shape[0], values[0].size if values.shape[0] else 0, dtype=np.int64)
    if values.dtype.kind in "US":
        return np.asarray(np.char.str_len(values), dtype=np.int64)
    if values.dtype.kind != "O":
        return None
    found = values.tolist()
    if not any(hasattr(value, "__len__") for value in found):
        return None
    return np.array([len(v) if hasattr(v, "__len__") else 0 for v in found], dtype=np.int64)


class SizeCounts(Stored):
    """Sizes of one column in *all* requests, timed or not, in eighths of an octave.

    Examples
    --------
    >>> seen = SizeCounts()
    >>> seen.add(np.array([10, 20, 4000]))
    >>> seen.n, seen.largest
    (3, 4000)
    """

    parts: ClassVar = {
        "counts": array(np.int64),
        "largest": plain,
    }

    def __init__(self) -> None:
        self.counts = np.zeros(8 * _OCTAVES, dtype=np.int64)
        self.largest = 0

    def add(self, seen: NDArray[np.int64]) -> None:
        """Take in sizes, an array of shape (n_rows,)."""
        if seen.size:
            # One more than the size, since an empty input has no logarithm.
            bins = np.minimum(np.ceil(8 * np.log2(seen + 1.0)).astype(np.int64), 8 * _OCTAVES - 1)
            self.counts += np.bincount(bins, minlength=self.counts.size)
            self.largest = max(self.largest, int(seen.max()))

    @property
    def n(self) -> int:
        """Number of sizes seen."""
        return int(self.counts.sum())

    def quantile(self, q: float) -> float:
        """Size below which a share `q` lies, at most 9 % too large; NaN before the first."""
        if not self.n:
            return float("nan")
        at = int(np.searchsorted(self.counts.cumsum(), q * self.n))
        return float(min(2 ** (at / 8) - 1, self.largest))
