"""Answers as vectors, so that a difference of answers is a difference of numbers whatever their kind.

A number is itself, a label one place for each class, a ranking a weight for each item that falls with its rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

RTOL, ATOL = 1e-9, 1e-12
"""Numbers within these are the same: they are summed in another order."""
DECAY = 0.9


def vectors(
    answers: Sequence[Any], classes: Sequence[Sequence[Any] | None], *, scores: bool = False
) -> tuple[list[np.ndarray], str] | None:
    """Lay several outputs for the same rows out as vectors of the same places.

    Parameters
    ----------
    answers : sequence of outputs
        Each of n_rows.
    classes : sequence
        The classes of each, where it has some.
    scores : bool
        Whether they are probabilities, a column for each of `classes`.

    Returns
    -------
    list of ndarray of shape (n_rows, n_places), float64, and in what they are measured; None where they have no such
    form.
    """
    arrays = [_array(one) for one in answers]
    if any(one is None or one.ndim not in (1, 2) for one in arrays):
        return None
    tables = [one for one in arrays if one is not None]
    if scores and all(known is not None for known in classes):
        return _by_class(tables, [list(known or ()) for known in classes]), "probabilities"
    kinds = {one.dtype.kind for one in tables}
    if len({one.ndim for one in tables}) > 1:
        return None
    wide = tables[0].ndim == 2 and tables[0].shape[1] > 1
    if kinds <= set("f") or (kinds <= set("iuf") and not wide and not any(classes)):
        if len({one.shape for one in tables}) > 1:
            return None
        return [one.reshape(len(one), -1).astype(np.float64) for one in tables], "numbers"
    if wide and kinds <= set("iuOU"):
        return _ranked(tables), "rankings"
    if wide:
        return None
    return _one_hot([one.reshape(len(one)) for one in tables]), "labels"


def same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return which rows of two tables are the same: ndarray of shape (n_rows,), bool."""
    close = np.isclose(a, b, rtol=RTOL, atol=ATOL, equal_nan=True)
    return np.asarray(close.reshape(len(a), -1).all(axis=1))


def _array(output: Any) -> np.ndarray | None:
    if isinstance(output, pd.DataFrame | pd.Series):
        output = output.to_numpy()
    if sparse.issparse(output):
        output = output.toarray()
    try:
        return np.asarray(output)
    except ValueError:
        return None


def _by_class(tables: Sequence[np.ndarray], classes: Sequence[list[Any]]) -> list[np.ndarray]:
    places = {one: at for at, one in enumerate(dict.fromkeys(c for own in classes for c in own))}
    made = []
    for own, known in zip(tables, classes, strict=True):
        laid = np.zeros((len(own), len(places)))
        laid[:, [places[one] for one in known]] = own
        made.append(laid)
    return made


def _one_hot(columns: Sequence[np.ndarray]) -> list[np.ndarray]:
    texts = [np.array([str(value) for value in one.tolist()], dtype=object) for one in columns]
    known = sorted({value for one in texts for value in one})
    return [(one[:, None] == np.array(known, dtype=object)[None, :]).astype(float) for one in texts]


def _ranked(tables: Sequence[np.ndarray]) -> list[np.ndarray]:
    items = {
        v: at for at, v in enumerate(sorted({str(v) for t in tables for v in t.ravel().tolist()}))
    }
    made = []
    for own in tables:
        laid = np.zeros((len(own), len(items)))
        for rank in range(own.shape[1]):
            places = [items[str(value)] for value in own[:, rank].tolist()]
            laid[np.arange(len(own)), places] += DECAY**rank
        made.append(laid)
    return made
