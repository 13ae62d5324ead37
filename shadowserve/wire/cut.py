"""A batch's prediction, cut back into the predictions of the requests that were batched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

from shadowserve.errors import AlignmentError

_Cut = Callable[[int, int], Any]


def split(prediction: Any, lengths: Sequence[int], *, multi_output: bool = False) -> list[Any]:
    """Cut a batch's prediction into one for each request.

    Parameters
    ----------
    prediction : object
        With one entry a row: ndarray or sparse matrix along the first axis, list, tuple,
        DataFrame, Series, Index; also a dict of such.
    lengths : sequence of int
        Rows of each request, at least one request. A lone request's prediction is returned as it
        is, whatever it is.
    multi_output : bool
        Whether the model is known, since it was loaded, to answer with a list of arrays of n_rows
        each, one an output, as ``predict_proba`` of several outputs does. A batch does not show it:
        an answer of as many parts as rows would be cut the wrong way.

    Returns
    -------
    list
        Each part as the model would have given it alone: frames and series count from 0.

    Raises
    ------
    AlignmentError
        If the prediction has another length than the rows, or none.

    Examples
    --------
    >>> split(np.array([1, 2, 3]), [1, 2])
    [array([1]), array([2, 3])]
    """
    # Nothing to cut, so any form will do, even one without rows.
    if len(lengths) == 1:
        return [prediction]
    edges = list(accumulate(lengths, initial=0))
    cut = _outputs(prediction, edges[-1]) if multi_output else _cutter(prediction, edges[-1])
    return [cut(start, stop) for start, stop in pairwise(edges)]


def _cutter(prediction: Any, n_rows: int) -> _Cut:
    """Choose how to cut, or refuse."""
    if isinstance(prediction, Mapping) and prediction:
        cuts = {key: _cutter(part, n_rows) for key, part in prediction.items()}
        return lambda start, stop: {key: cut(start, stop) for key, cut in cuts.items()}
    given = _length(prediction)
    if given != n_rows:
        came = f"{given} entries" if given is not None else f"a {type(prediction).__name__}"
        raise AlignmentError(
            f"The model answered {n_rows} rows with {came}; one entry a row is expected."
        )
    if isinstance(prediction, (pd.DataFrame, pd.Series)):
        # Alone, the model would have counted its rows from 0.
        return lambda start, stop: prediction.iloc[start:stop].reset_index(drop=True)
    if scipy.sparse.issparse(prediction):
        # Only rows of a CSR matrix can be sliced; converted once for all requests.
        by_row = prediction.tocsr()
        return lambda start, stop: by_row[start:stop]
    return lambda start, stop: prediction[start:stop]


def _length(prediction: Any) -> int | None:
    if isinstance(prediction, np.ndarray) or scipy.sparse.issparse(prediction):
        return int(prediction.shape[0]) if prediction.ndim else None
    if isinstance(prediction, (list, tuple, pd.DataFrame, pd.Series, pd.Index)):
        return len(prediction)
    return len(prediction) if isinstance(prediction, pd.api.extensions.ExtensionArray) else None


def _outputs(prediction: Any, n_rows: int) -> _Cut:
    """Cut each of several outputs, or refuse."""
    if not has_outputs(prediction, n_rows):
        raise AlignmentError(
            f"The model answered {n_rows} rows with a {type(prediction).__name__}; a list with an array of "
            f"{n_rows} rows for each output is expected."
        )
    return lambda start, stop: [part[start:stop] for part in prediction]


def has_outputs(prediction: Any, n_rows: int) -> bool:
    """Whether a prediction is a list of two-dimensional arrays of n_rows each."""
    return (
        isinstance(prediction, list)
        and bool(prediction)
        and all(
            isinstance(part, np.ndarray) and part.ndim == 2 and len(part) == n_rows
            for part in prediction
        )
    )
