"""Predictions as the Open Inference Protocol's outputs: one tensor a column, or one for all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from shadowserve.wire.answers import dumps

_KINDS = {"b": "BOOL", "i": "INT", "u": "UINT", "f": "FP"}


def outputs_of(prediction: Any) -> list[dict[str, Any]]:
    """Return the outputs of a prediction.

    Parameters
    ----------
    prediction : object
        A frame or dict gives one output a column, anything else one named ``predictions``. Rows
        that are no tensor are BYTES, each the JSON text of its row.

    Returns
    -------
    list of dict
        With name, datatype, shape and row-major data; NaN and infinity become null when written.
    """
    return [_output(name, part) for name, part in _parts(prediction).items()]


def _parts(prediction: Any) -> dict[str, Any]:
    if isinstance(prediction, pd.DataFrame):
        names = map(str, prediction.columns)
        return {name: prediction.iloc[:, at].to_numpy() for at, name in enumerate(names)}
    if isinstance(prediction, Mapping):
        return {str(name): part for name, part in prediction.items()}
    if isinstance(prediction, (pd.Series, pd.Index)):
        return {"predictions": prediction.to_numpy()}
    return {"predictions": prediction}


def _output(name: str, part: Any) -> dict[str, Any]:
    array = _as_array(part)
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
    """Return the part as a numeric or text array of at least one dimension, else one object a row."""
    if hasattr(part, "toarray"):
        return np.asarray(part.toarray())
    rows = part if isinstance(part, (list, tuple, np.ndarray)) else [part]
    try:
        array = np.asarray(rows)
    except ValueError:  # ragged
        array = np.empty(0, dtype=object)
    tensor_like = array.dtype.kind in "biufU" or isinstance(rows, np.ndarray)
    if array.ndim and tensor_like and not _is_mixed(rows, array):
        return array
    listed = list(np.atleast_1d(rows)) if isinstance(rows, np.ndarray) else list(rows)
    objects = np.empty(len(listed), dtype=object)
    objects[:] = listed
    return objects


def _is_mixed(rows: Any, array: np.ndarray) -> bool:
    """Whether numpy made one type of several: numbers and text in one list."""
    if isinstance(rows, np.ndarray) or array.dtype.kind != "U":
        return False
    return array.ndim != 1 or any(not isinstance(value, str) for value in rows)


def _text(value: Any) -> str | None:
    """Write one entry of BYTES: text as it is, anything else as its JSON text."""
    if value is None or isinstance(value, str):
        return value
    text = dumps(value).decode()
    return None if text == "null" else text.strip('"') if text.startswith('"') else text


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
