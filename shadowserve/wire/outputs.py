"""Predictions as the Open Inference Protocol's outputs: one tensor a column, or one for all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

from shadowserve.wire.answers import dumps, plain

_NUMBERS = (int, float, np.number, np.bool_)
_KINDS = {"b": "BOOL", "i": "INT", "u": "UINT", "f": "FP"}


def outputs_of(prediction: Any) -> list[dict[str, Any]]:
    """Return the outputs of a prediction.

    Parameters
    ----------
    prediction : object
        A frame or dict gives one output a column, probabilities of several outputs with differing
        numbers of classes one each (``predictions_0`` ...), anything else one named
        ``predictions``. Rows that are no tensor are BYTES, each the JSON text of its row.

    Returns
    -------
    list of dict
        With name, datatype, shape and row-major data; NaN and infinity become null when written.
    """
    return [_output(name, part) for name, part in _parts(prediction).items()]


def _parts(prediction: Any) -> dict[str, Any]:
    if isinstance(prediction, pd.DataFrame):
        names = map(str, prediction.columns)
        return {name: _values(prediction.iloc[:, at]) for at, name in enumerate(names)}
    if isinstance(prediction, Mapping):
        return {str(name): part for name, part in prediction.items()}
    if _is_ragged(prediction):
        return {f"predictions_{at}": part for at, part in enumerate(prediction)}
    return {"predictions": prediction}


def _values(column: pd.Series | pd.Index) -> np.ndarray:
    """Return a column's values; moments as such, which in nanoseconds would become numbers."""
    moments = getattr(column.dtype, "kind", "") in "mM"
    return (column.astype(object) if moments else column).to_numpy()


def _is_ragged(prediction: Any) -> bool:
    """Whether this is one array of probabilities for each of several outputs, of differing widths."""
    return (
        isinstance(prediction, list)
        and all(isinstance(part, np.ndarray) and part.ndim == 2 for part in prediction)
        and len({len(part) for part in prediction}) == 1
        and len({part.shape for part in prediction}) > 1
    )


def _output(name: str, part: Any) -> dict[str, Any]:
    array = _as_array(part)
    # A long double has no datatype in the protocol; as JSON text nothing of it is lost.
    if array.dtype.kind in _KINDS and array.dtype.itemsize <= 8:
        data = array.ravel().tolist()
        return {
            "name": name,
            "datatype": datatype_of(array.dtype),
            "shape": list(array.shape),
            "data": data,
        }
    texts = [_text(value) for value in array.ravel().tolist()]
    return {"name": name, "datatype": "BYTES", "shape": list(array.shape), "data": texts}


def _as_array(part: Any) -> np.ndarray:
    """Return the part as a numeric array of at least one dimension, else one object a row."""
    if scipy.sparse.issparse(part):
        return np.asarray(part.toarray())
    if isinstance(part, (pd.Series, pd.Index)):
        part = _values(part)
    if isinstance(part, pd.DataFrame):
        part = plain(part)
    if isinstance(part, np.ma.MaskedArray):
        # A masked value is missing, and the number beneath the mask is anything.
        part = part.filled(np.nan) if part.dtype.kind == "f" else part.tolist()
    if isinstance(part, np.ndarray):
        return np.atleast_1d(np.asarray(part))
    listed = isinstance(part, (list, tuple, pd.api.extensions.ExtensionArray))
    rows = list(part) if listed else [part]
    numbers = _numbers(rows)
    if numbers is not None:
        return numbers
    # np.array would make two dimensions of rows that happen to have one length.
    objects = np.empty(len(rows), dtype=object)
    objects[:] = rows
    return objects


def _numbers(rows: list[Any]) -> np.ndarray | None:
    """Stack rows of numbers; None where they are none, or where numpy would make others of them."""
    try:
        array = np.asarray(rows)
    except (ValueError, OverflowError):  # ragged
        return None
    if array.dtype.kind not in _KINDS or not array.ndim:
        return None
    leaves = list(_leaves(rows))
    # numpy turns [1, True] into [1, 1] and ["1", 1] into texts: such rows stay as they are.
    bools = sum(isinstance(leaf, (bool, np.bool_)) for leaf in leaves)
    alike = bools in (0, len(leaves)) and all(isinstance(leaf, _NUMBERS) for leaf in leaves)
    exact = array.dtype.kind != "f" or all(map(_is_exact, leaves))
    return array if alike and exact else None


def _leaves(rows: Any) -> Iterator[Any]:
    for each in rows.tolist() if isinstance(rows, np.ndarray) else rows:
        if isinstance(each, (list, tuple, np.ndarray)) and np.ndim(each):
            yield from _leaves(each)
        else:
            yield each


def _is_exact(number: Any) -> bool:
    """Whether float64 holds a number."""
    return not isinstance(number, (int, np.integer)) or int(float(number)) == int(number)


def _text(value: Any) -> str | None:
    """Write one entry of BYTES: text as it is, anything else as its JSON text."""
    if value is None or isinstance(value, str):
        return value
    # A date is written as a JSON text, whose quotes are not part of it; null is none.
    text = dumps(value).decode()
    read: str | None = json.loads(text) if text[0] in '"n' else text
    return read


def datatype_of(dtype: Any) -> str:
    """Return the protocol's name of a numpy dtype; what it does not know is BYTES.

    Examples
    --------
    >>> datatype_of("float32")
    'FP32'
    """
    if str(dtype) in ("str", "object"):
        return "BYTES"
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return "BOOL"
    return f"{_KINDS[kind.kind]}{kind.itemsize * 8}" if kind.kind in _KINDS else "BYTES"
