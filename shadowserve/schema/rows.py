"""Typed rows: one or more requests in the form in which a model takes them.

`Rows` is the value between the wire and the model. It is made once per request by `wire`, by the
typing rule of `schema`, and cannot be bad afterwards. The columns of several requests are laid end
to end for a batch. Dtypes come from the signature alone, so a row's values do not depend on its
neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

ColumnName = str | int
_TEXT = pd.Series(["text"]).dtype
_NO_PARAMS: Mapping[str, Any] = {}


class Rows(NamedTuple):
    """Typed values of one or more requests.

    Parameters
    ----------
    columns : mapping of name to ndarray of shape (n_rows,)
        One array a column, in the order of the signature. Empty for tensor models.
    n_rows : int
        Number of rows.
    tensor : ndarray of shape (n_rows, ...) or mapping of name to such, optional
        What a model with a tensor signature is handed instead of columns.
    params : mapping
        Inference parameters of MLflow's protocol; requests with different ones share no batch.
    extra : tuple of str
        Names that the request carried and the signature does not know. Ignored, but counted.
    text : frozenset of name
        Optional columns of text: where all of one is missing, its values do not show what it is.
    untyped : frozenset of name
        Columns of type Any: Python values, also where all of them happen to be text.
    """

    columns: Mapping[ColumnName, np.ndarray]
    n_rows: int
    tensor: np.ndarray | Mapping[str, np.ndarray] | None = None
    params: Mapping[str, Any] = _NO_PARAMS
    extra: tuple[str, ...] = ()
    text: frozenset[ColumnName] = frozenset()
    untyped: frozenset[ColumnName] = frozenset()

    def frame(self) -> pd.DataFrame:
        """Columns as a frame with a fresh range index, private to the caller.

        Returns
        -------
        DataFrame of shape (n_rows, n_columns)
            The arrays are copied: a model that writes into its input changes nobody else's.
        """
        columns: dict[ColumnName, Any] = {n: values.copy() for n, values in self.columns.items()}
        for name in self.untyped:
            columns[name] = pd.Series(columns[name], dtype=object)
        return pd.DataFrame({**columns, **self.missing_text()})

    def missing_text(self) -> dict[ColumnName, Any]:
        """Return the columns of text that are missing in every row, in the type of text.

        pandas 3 gives a column of strings a type of its own, but not one in which all is missing.
        """
        if isinstance(_TEXT, np.dtype):
            return {}
        return {
            name: pd.Series(self.columns[name], dtype=_TEXT).array
            for name in self.text
            if pd.isna(self.columns[name]).all()
        }

    def model_input(self) -> Any:
        """Return what the model's own `predict` is called with: a frame, an ndarray or a dict."""
        if self.tensor is None:
            return self.frame()
        if isinstance(self.tensor, np.ndarray):
            return self.tensor.copy()
        return {name: values.copy() for name, values in self.tensor.items()}

    def part(self, start: int, stop: int) -> Rows:
        """Return some of the rows, which share their values with these."""
        return self._mapped(lambda values: values[start:stop])

    def varied(self) -> Rows:
        """Return as many rows with other numbers, booleans, moments and texts."""
        return self._mapped(_other)

    def _mapped(self, change: Callable[[np.ndarray], np.ndarray]) -> Rows:
        columns = {name: change(values) for name, values in self.columns.items()}
        tensor = self.tensor
        if isinstance(tensor, np.ndarray):
            tensor = change(tensor)
        elif tensor is not None:
            tensor = {name: change(values) for name, values in tensor.items()}
        whole = tensor if tensor is not None else columns
        first = whole if isinstance(whole, np.ndarray) else next(iter(whole.values()))
        return self._replace(columns=columns, tensor=tensor, n_rows=len(first))


def _other(values: np.ndarray) -> np.ndarray:
    """Return other values of the same dtype; NaN and Python values other than texts stay."""
    kind = values.dtype.kind
    if kind == "f":
        return (values * 2 + 1).astype(values.dtype)
    if kind in "iu":
        return np.where(values > 0, values - 1, values + 1).astype(values.dtype)
    if kind == "b":
        return ~values
    if kind == "O":
        changed = [
            f"{value}~" if type(value) is str else value for value in values.ravel().tolist()
        ]
        made = np.empty(values.size, dtype=object)
        made[:] = changed
        return made.reshape(values.shape)
    return values + np.timedelta64(1, "D") if kind == "M" else values


def concat(parts: Sequence[Rows]) -> Rows:
    """Lay the rows of several requests end to end.

    Parameters
    ----------
    parts : sequence of Rows
        Of one schema and with equal params; at least one.
    """
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    columns = {name: np.concatenate([p.columns[name] for p in parts]) for name in first.columns}
    n_rows = sum(p.n_rows for p in parts)
    return Rows(
        columns=columns,
        n_rows=n_rows,
        tensor=_concat_tensors(parts),
        params=first.params,
        text=first.text,
        untyped=first.untyped,
    )


def _concat_tensors(parts: Sequence[Rows]) -> np.ndarray | dict[str, np.ndarray] | None:
    first = parts[0].tensor
    if first is None:
        return None
    if isinstance(first, np.ndarray):
        return np.concatenate([np.asarray(p.tensor) for p in parts])
    return {name: np.concatenate([p.tensor[name] for p in parts]) for name in first}  # type: ignore[index]
