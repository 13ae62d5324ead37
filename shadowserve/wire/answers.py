"""Predictions to JSON and back, as MLflow's scoring server writes them, and always valid JSON.

The one difference to MLflow: NaN, infinity and every kind of missing value are null. Types that
make MLflow's encoder fail (Decimal, sparse matrices, frames inside lists) are written; what has no
JSON form at all is refused by its type's name.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import re
import warnings
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import orjson
import pandas as pd
import scipy.sparse

from shadowserve.errors import AnswerError

_OPTIONS = (
    orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
)
_MANY_DIGITS = re.compile(rb"[0-9]{16}\.0|[0-9]{20}")
_EXACT_DIGITS, _MOST_DIGITS = 15, 4_000
_PRIMITIVES = frozenset({str, int, float, bool, type(None)})


def answer(prediction: Any) -> bytes:
    """Encode a prediction as the body of a 200.

    Parameters
    ----------
    prediction : object
        ndarray, numpy scalar, DataFrame (one object a row), Series (likewise), Index, list, tuple,
        dict, str, number, date or time, Decimal, bytes (base64), sparse matrix, pydantic model,
        or any nesting of them.

    Returns
    -------
    bytes
        ``{"predictions": ...}``, RFC 8259; NaN, infinity, NaT and NA are null.

    Raises
    ------
    AnswerError
        Naming the type that has no JSON form.

    Examples
    --------
    >>> answer(np.array([1.0, np.nan]))
    b'{"predictions":[1.0,null]}'
    """
    return dumps({"predictions": plain(prediction)})


def answer_rows(predictions: np.ndarray) -> list[bytes] | None:
    """Encode a batch's prediction as one answer a row, each as `answer` encodes that row alone.

    Parameters
    ----------
    predictions : ndarray of shape (n_rows, ...)

    Returns
    -------
    list of bytes or None
        None where each row is to be encoded by itself: the array holds no numbers or truth values,
        or has more than two dimensions.

    Examples
    --------
    >>> answer_rows(np.array([[1, 2], [3, 4]]))
    [b'{"predictions":[[1,2]]}', b'{"predictions":[[3,4]]}']
    """
    if predictions.dtype.kind not in "fiub" or predictions.dtype.itemsize > 8:
        return None
    if (
        type(predictions) is not np.ndarray
        or predictions.ndim not in (1, 2)
        or not predictions.size
    ):
        return None
    text = orjson.dumps(predictions.tolist())  # numbers hold no comma and no bracket
    if predictions.ndim == 1:
        return [b'{"predictions":[%b]}' % each for each in text[1:-1].split(b",")]
    return [b'{"predictions":[[%b]]}' % each for each in text[2:-2].split(b"],[")]


def dumps(value: Any) -> bytes:
    """Encode what `plain` returned, or a dict around it."""
    try:
        return orjson.dumps(value, default=_convert, option=_OPTIONS)
    except orjson.JSONEncodeError as error:
        # Our own refusal names the type; orjson's wraps it and would hide it.
        if isinstance(error.__cause__, AnswerError):
            raise error.__cause__ from None
    return _dumps_slowly(value)


def plain(prediction: Any) -> Any:
    """Turn the outermost container into lists and dicts, as MLflow does before encoding."""
    if isinstance(prediction, np.ndarray):
        return prediction.tolist()  # moments in nanoseconds become numbers, as in MLflow
    if isinstance(prediction, pd.DataFrame):
        return _records(prediction)
    if isinstance(prediction, pd.Series):
        return _records(pd.DataFrame(prediction))
    return prediction


def nonfinite(prediction: Any) -> int:
    """Count the NaN, infinite, NaT and NA values of a prediction, which callers see as null.

    None is not counted: a model that answers None says so.
    """
    if isinstance(prediction, np.ndarray):
        return _nonfinite_array(prediction)
    if isinstance(prediction, pd.DataFrame):
        return sum(nonfinite(prediction.iloc[:, place]) for place in range(prediction.shape[1]))
    if isinstance(prediction, (pd.Series, pd.Index)):
        return _nonfinite_array(prediction.to_numpy())
    if scipy.sparse.issparse(prediction):
        return _nonfinite_array(prediction.data)
    if isinstance(prediction, Mapping):
        return sum(map(nonfinite, prediction.values()))
    if isinstance(prediction, (list, tuple)):
        return sum(map(nonfinite, prediction))
    return int(_is_nonfinite(prediction))


def read_answer(body: bytes) -> Any:
    """Return the Python value of an answer's ``predictions``.

    Whole numbers of any size are exact: those beyond 64 bits, and those that are written with a point
    and zeros, are read once more by a reader that does not round them.

    Raises
    ------
    AnswerError
        If the bytes are no such answer.

    Examples
    --------
    >>> read_answer(b'{"predictions": [1, null]}')
    [1, None]
    """
    try:
        return read_json(body)["predictions"]
    except (ValueError, KeyError, TypeError):
        raise AnswerError("The bytes are no answer: a JSON object with predictions.") from None


def read_json(body: bytes) -> Any:
    r"""Read JSON that a server wrote, also text with a lone surrogate, which UTF-8 does not know.

    Such a character is read as its escape, so that what was read can be written again.

    Raises
    ------
    ValueError
        If it is no JSON, or nested too deeply.

    Examples
    --------
    >>> read_json(rb'["a\ud800"]')
    ['a\\ud800']
    """
    # orjson rounds long numbers to floats, so it may read only bodies that hold none.
    if not _MANY_DIGITS.search(body):
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            pass
    try:
        return _legible(json.loads(body, parse_float=_exact, parse_constant=_not_json))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _exact(text: str) -> int | float:
    """Read a number with a point: whole where it is written in full and float64 would round it.

    Examples
    --------
    >>> _exact("9007199254740993.0"), _exact("2.5"), _exact("1e300")
    (9007199254740993, 2.5, 1e+300)
    """
    # Written in full with a zero fraction, such as a Decimal: its digits are meant.
    whole, _, fraction = text.partition(".")
    if fraction and not fraction.strip("0") and len(whole) > _EXACT_DIGITS:
        return int(whole)
    return float(text)


def _not_json(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _legible(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, list):
        return [_legible(each) for each in value]
    if isinstance(value, dict):
        return {_legible(key): _legible(each) for key, each in value.items()}
    return value


def _records(frame: pd.DataFrame) -> list[dict[Any, Any]]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="DataFrame columns are not unique")
        return frame.to_dict(orient="records")


def _convert(value: Any) -> Any:
    """Convert what orjson does not know; what comes out may need converting again."""
    if value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, np.generic):
        return _scalar(value)
    if isinstance(value, (np.ndarray, pd.DataFrame, pd.Series)):
        return plain(value)
    if isinstance(value, (bytes, bytearray)):
        # With line breaks, as MLflow sends bytes: clients decode what they decoded before.
        return base64.encodebytes(value).decode("ascii")
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, Decimal):
        # As a number with all its digits; a float would round it.
        return orjson.Fragment(str(value).encode()) if value.is_finite() else None
    # orjson knows neither these nor what they hold; it asks for each item again.
    if isinstance(value, (tuple, pd.Index, pd.api.extensions.ExtensionArray)):
        return list(value)
    if scipy.sparse.issparse(value):
        return value.toarray().tolist()
    if hasattr(value, "model_dump"):
        return value.model_dump()
    raise AnswerError(
        f"The prediction holds a {type(value).__module__}.{type(value).__qualname__}, "
        "which has no JSON form. Let the model return arrays, frames, lists or dicts."
    )


def _scalar(value: np.generic) -> Any:
    if isinstance(value, (np.datetime64, np.timedelta64)) and np.isnat(value):
        return None
    item = value.item()
    if type(item) in _PRIMITIVES or isinstance(item, (bytes, dt.date, dt.time)):
        return item
    raise AnswerError(
        f"The prediction holds a numpy.{type(value).__name__}, which has no JSON form."
    )


def _dumps_slowly(value: Any) -> bytes:
    """Encode what orjson will not: whole numbers beyond 64 bits, lone surrogates, numpy keys."""
    try:
        return json.dumps(_tree(value), allow_nan=False, separators=(",", ":")).encode()
    except RecursionError:
        raise AnswerError("The prediction is nested too deeply, or contains itself.") from None


def _tree(value: Any) -> Any:
    """Rebuild a value of plain Python only."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, (str, int)) or value is None:
        return value
    if isinstance(value, Mapping):
        return {_key(key): _tree(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_tree(each) for each in value]
    if isinstance(value, Decimal):
        return _number(value) if value.is_finite() else None
    return _tree(_convert(value))


def _number(value: Decimal) -> int | float:
    """Return a Decimal as a number: exactly where it is whole and written in full."""
    # An exponent of millions is a short text, and an integer that fills the memory.
    whole = value == value.to_integral_value() and value.adjusted() < _MOST_DIGITS
    return int(value) if whole else float(value)


def _key(key: Any) -> str | int | float | bool | None:
    if isinstance(key, np.generic):
        key = key.item()
    if key is None or isinstance(key, (str, int, float)):
        return key
    raise AnswerError(f"The prediction has a {type(key).__name__} as a key; JSON has only strings.")


def _nonfinite_array(values: np.ndarray) -> int:
    if values.dtype.kind in "fc":
        return int(values.size - np.isfinite(values).sum())
    if values.dtype.kind in "Mm":
        return int(np.isnat(values).sum())
    if values.dtype.kind == "O":
        return sum(map(nonfinite, values.ravel().tolist()))
    return 0


def _is_nonfinite(value: Any) -> bool:
    if value is pd.NA or value is pd.NaT:
        return True
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return bool(np.isnat(value))
    if isinstance(value, (float, np.floating)):
        return not math.isfinite(value)
    return isinstance(value, Decimal) and not value.is_finite()
