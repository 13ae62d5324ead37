"""The canonical form of a column: numbers with NaN, or strings with None, whatever it was typed as."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Kind = Literal["number", "bool", "string"]


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
