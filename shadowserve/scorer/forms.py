"""Values between the steps of a version: as tables of numbers, and with columns replaced in their own form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse


def table(value: Any) -> np.ndarray | None:
    """Return a value as float64 of shape (n_rows, n_columns); None where it is no table of numbers."""
    if sparse.issparse(value):
        return np.asarray(value.toarray(), dtype=np.float64)
    try:
        made = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    if made.ndim == 1:
        made = made.reshape(-1, 1)
    return made if made.ndim == 2 else None


def replaced(value: Any, columns: Sequence[int], other: Any, others: Sequence[int]) -> Any:
    """Return a copy of a value in which some columns are another's, in the value's own form.

    Raises
    ------
    TypeError
        If either is no table.
    """
    if isinstance(value, pd.DataFrame):
        frame = value.copy()
        theirs = other if isinstance(other, pd.DataFrame) else pd.DataFrame(_table(other))
        for at, place in zip(columns, others, strict=True):
            frame.isetitem(at, theirs.iloc[:, place].to_numpy())
        return frame
    if isinstance(value, np.ndarray) and value.dtype.kind in "OU":
        texts = value.astype(object)
        own, new = (one.reshape(len(one), -1) for one in (texts, np.asarray(other, dtype=object)))
        own[:, list(columns)] = new[:, list(others)]
        return texts
    made = _table(value).copy()
    made[:, list(columns)] = _table(other)[:, list(others)]
    if sparse.issparse(value):
        return type(value)(made)
    return made.astype(value.dtype).reshape(value.shape) if isinstance(value, np.ndarray) else made


def _table(value: Any) -> np.ndarray:
    made = table(value)
    if made is None:
        raise TypeError("It is no table of numbers.")
    return made


def in_form(own: Any, other: Any) -> Any:
    """Return another's value in the form of one's own, where it has as many columns: a frame stays a frame."""
    one, two = table(own), table(other)
    if one is None or two is None or one.shape != two.shape:
        return other
    places = range(one.shape[1])
    return replaced(own, places, other, places)
