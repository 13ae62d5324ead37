"""The stacking of branches: their outputs become one matrix, as scikit-learn makes it.

The usual cases are plain arrays, CSR matrices in canonical form, and frames whose names are known
from fit. They are stacked here at a fraction of the cost, with the same bits, dtypes and sparse
layout. Whatever is not plainly one of them goes through the fitted object's own stacking.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion

from .fitted import is_drop, is_empty_selection

_NUMBERS = frozenset(np.dtype(name) for name in ("float64", "float32", "int64", "int32", "bool"))
_LARGEST_INDEX = np.iinfo(np.int32).max

Stack = Callable[..., Any]


def stack_columns(transformer: ColumnTransformer, names: pd.Index | None) -> Stack:
    """Return the stacking of a fitted `ColumnTransformer`.

    Parameters
    ----------
    transformer : ColumnTransformer
        Fitted, not to be altered.
    names : Index or None
        Output names where frames are asked for, else None.

    Returns
    -------
    callable of (input, *outputs)
        The input is what the transformer itself was handed; only its length and index are used.
    """

    def stock(values: Any, outputs: Sequence[Any]) -> Any:
        transformer._validate_output(outputs)
        return transformer._hstack(list(outputs), n_samples=values.shape[0])

    def empty(values: Any) -> Any:
        return np.zeros((values.shape[0], 0))

    def dense(values: Any, *outputs: Any) -> Any:
        # Where the whole is dense enough scikit-learn makes it dense, though parts are sparse.
        parts = [part.toarray() if sp.issparse(part) else part for part in outputs]
        return np.hstack(parts) if _are_matrices(parts) else stock(values, outputs)

    def sparse(values: Any, *outputs: Any) -> Any:
        stacked = _stack_csr(outputs)
        return stock(values, outputs) if stacked is None else stacked

    def frames(values: Any, *outputs: Any) -> Any:
        return _stack_frames(outputs, values.shape[0], names)

    if not any(_is_used(part, columns) for _, part, columns in transformer.transformers_):
        return empty
    if names is not None:
        return frames
    return sparse if transformer.sparse_output_ else dense


def stack_union(union: FeatureUnion, names: pd.Index | None) -> Stack:
    """Return the stacking of a fitted `FeatureUnion`; parameters as in `stack_columns`."""

    def empty(values: Any) -> Any:
        return np.zeros((values.shape[0], 0))

    def arrays(_: Any, *outputs: Any) -> Any:
        if _are_matrices(outputs):
            return np.concatenate(outputs, axis=1)
        stacked = _stack_csr(outputs)
        return union._hstack(list(outputs)) if stacked is None else stacked

    def frames(values: Any, *outputs: Any) -> Any:
        return _stack_frames(outputs, values.shape[0], names)

    if all(is_drop(transformer) for _, transformer in union.transformer_list):
        return empty
    return arrays if names is None else frames


def _is_used(transformer: Any, columns: Any) -> bool:
    return not is_drop(transformer) and not is_empty_selection(columns)


def _are_matrices(parts: Sequence[Any]) -> bool:
    return all(type(part) is np.ndarray and part.ndim == 2 for part in parts)


def _stack_csr(parts: Sequence[Any]) -> Any:
    """Stack CSR matrices and arrays into the CSR matrix that `scipy.sparse.hstack` gives.

    Returns
    -------
    csr_matrix of shape (n_rows, sum of columns), or None
        None where the outcome could differ. That is: no sparse part, other formats, unsorted
        indices, 64-bit indices, unusual dtypes, nothing to stack.
    """
    rows, places, values = [], [], []
    offset, any_sparse, n_rows = 0, False, parts[0].shape[0] if parts else 0
    for part in parts:
        if not _is_stackable(part, n_rows):
            return None
        if type(part) is sp.csr_matrix:
            any_sparse = True
            part_rows = np.repeat(np.arange(n_rows), np.diff(part.indptr))
            part_places, part_values = part.indices, part.data
        else:
            # Only what is not zero, as scipy makes a sparse matrix of a dense one.
            part_rows, part_places = part.nonzero()
            part_values = part[part_rows, part_places]
        rows.append(part_rows)
        places.append(part_places + offset if offset else part_places)
        values.append(part_values)
        offset += part.shape[1]
    if not any_sparse or offset > _LARGEST_INDEX:
        return None
    return _csr(
        np.concatenate(rows), np.concatenate(places), np.concatenate(values), (n_rows, offset)
    )


def _is_stackable(part: Any, n_rows: int) -> bool:
    if type(part) is not np.ndarray and type(part) is not sp.csr_matrix:
        return False
    if part.ndim != 2 or part.shape[0] != n_rows or 0 in part.shape or part.dtype not in _NUMBERS:
        return False
    return type(part) is np.ndarray or (
        part.has_canonical_format and part.indices.dtype == np.int32
    )


def _csr(rows: np.ndarray, places: np.ndarray, values: np.ndarray, shape: tuple[int, int]) -> Any:
    if shape[0] > 1:
        # Stable, so that within a row the branches keep their order.
        order = np.argsort(rows, kind="stable")
        places, values = places[order], values[order]
    indptr = np.zeros(shape[0] + 1, dtype=np.int32)
    np.cumsum(np.bincount(rows, minlength=shape[0]), out=indptr[1:])
    return sp.csr_matrix((values, places.astype(np.int32, copy=False), indptr), shape=shape)


def _stack_frames(parts: Sequence[Any], n_rows: int, names: pd.Index | None) -> pd.DataFrame:
    """Stack frames under the names known from fit.

    Raises
    ------
    ValueError
        When an output is no frame, or its rows don't match; the stock path raises here or coerces.
    """
    if not all(isinstance(part, pd.DataFrame) for part in parts):
        raise ValueError("A step's output is not a frame although frames are asked for.")
    stacked = pd.concat([_renumbered(part, place) for place, part in enumerate(parts)], axis=1)
    if stacked.shape[0] != n_rows:
        raise ValueError("A step's output has another number of rows than its input.")
    stacked.columns = names.view() if names is not None else stacked.columns
    return stacked


def _renumbered(part: pd.DataFrame, place: int) -> pd.DataFrame:
    renumbered = part.copy(deep=False)
    # Branches may give one name twice, until the names known from fit replace theirs.
    renumbered.columns = pd.Index([f"{place}_{column}" for column in range(part.shape[1])])
    return renumbered
