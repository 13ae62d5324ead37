"""Values in a form that no library's release changes: JSON, and the bytes of arrays.

Requests go to an isolated version in it, and its answers come back. NumPy's arrays are named by dtype and
shape; frames are columns; what pandas 1 holds as objects and pandas 3 as `str` is a list of texts. Nothing is
unpickled on either side: an isolated version may write what it likes. Both sides run this module.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from shadowserve.errors import AnswerError

_LENGTHS = struct.Struct("<QQ")
_TAG = "!"
_PLAIN = frozenset({str, int, float, bool, type(None)})
_RAW = "fiubcMmSU"
"""Kinds of dtype whose bytes say all."""
_MAX_DEPTH = 200


class Frames:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, read: bytes) -> Iterator[tuple[dict[str, Any], list[Any]]]:
        """Take in what was read and yield the head and the parts of each frame that is whole."""
        self._held += read
        while len(self._held) >= _LENGTHS.size:
            head, rest = _LENGTHS.unpack_from(self._held)
            end = _LENGTHS.size + head + rest
            if len(self._held) < end:
                return
            at = _LENGTHS.size + head
            told = json.loads(self._held[_LENGTHS.size : at])
            parts = []
            for length in told["lengths"]:
                parts.append(self._held[at : at + length])  # a copy: arrays may be written to
                at += length
            del self._held[:end]
            yield told["head"], parts


def frame(head: Mapping[str, Any], parts: Sequence[bytes] = ()) -> bytes:
    """Return a frame.

    Examples
    --------
    >>> list(Frames().feed(frame({"number": 1}, [b"ab", b"c"])))
    [({'number': 1}, [bytearray(b'ab'), bytearray(b'c')])]
    """
    told = json.dumps({"head": head, "lengths": [len(part) for part in parts]}).encode()
    rest = b"".join(parts)
    return b"".join((_LENGTHS.pack(len(told), len(rest)), told, rest))


def written(value: Any, parts: list[bytes]) -> Any:
    """Return a value as JSON, with the bytes of its arrays appended to `parts`.

    Raises
    ------
    AnswerError
        Naming a type that has no such form.

    Examples
    --------
    >>> parts: list[bytes] = []
    >>> read(written({"a": np.arange(2), 1: (None, b"x")}, parts), parts)
    {'a': array([0, 1]), 1: (None, b'x')}
    """
    return _write(value, parts, 0)


def read(value: Any, parts: Sequence[Any]) -> Any:
    """Return what `written` was given: arrays that may be written to, and this process's own types."""
    if isinstance(value, list):
        return [read(each, parts) for each in value]
    if not isinstance(value, dict):
        return value
    tag = value[_TAG]
    if tag in _OF_TEXT:
        return _OF_TEXT[tag](value["of"])
    return _MISSING[tag] if tag in _MISSING else _READERS[tag](value, parts)


def _write(value: Any, parts: list[bytes], depth: int) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if depth > _MAX_DEPTH:
        raise AnswerError("The prediction is nested too deeply, or contains itself.")
    if value is pd.NaT or value is pd.NA:  # NaT is a kind of datetime
        return {_TAG: "nat" if value is pd.NaT else "na"}
    # A subclass is written as what it is a kind of.
    for known, tag, text in _AS_TEXT:
        if isinstance(value, known):
            return {_TAG: tag, "of": text(value)}
    for known, write in _WRITERS:
        if isinstance(value, known):
            return write(value, parts, depth + 1)
    return _write_strange(value, parts, depth + 1)


def _write_strange(value: Any, parts: list[bytes], depth: int) -> Any:
    if hasattr(value, "tocsr") and hasattr(value, "toarray"):  # scipy's, which may not be there
        return _sparse(value, parts, depth)
    if hasattr(value, "model_dump"):  # pydantic's
        return _write(value.model_dump(), parts, depth)
    kind = type(value)
    raise AnswerError(
        f"The prediction holds a {kind.__module__}.{kind.__qualname__}, which has no JSON form. "
        "Let the model return arrays, frames, lists or dicts."
    )


def _items(values: list[Any], parts: list[bytes], depth: int) -> list[Any]:
    if _PLAIN.issuperset(map(type, values)):
        return values
    return [_write(each, parts, depth + 1) for each in values]


def _array(value: np.ndarray, parts: list[bytes], depth: int) -> dict[str, Any]:
    if isinstance(value, np.ma.MaskedArray):
        own = (np.asarray(value.data), np.ma.getmaskarray(value))
        return {_TAG: "masked", "of": [_array(each, parts, depth) for each in own]}
    if value.dtype.kind in _RAW:
        # NumPy 2 and NumPy 1 name these alike, and lay them out alike.
        value = np.ascontiguousarray(value).reshape(value.shape)
        parts.append(value.tobytes())
        return {
            _TAG: "array",
            "dtype": value.dtype.str,
            "shape": value.shape,
            "part": len(parts) - 1,
        }
    flat = _items(value.ravel().tolist(), parts, depth)
    return {_TAG: "objects", "shape": value.shape, "of": flat}


def _scalar(value: np.generic, parts: list[bytes], depth: int) -> Any:
    return {_TAG: "scalar", "of": _array(np.asarray(value), parts, depth)}


def _column(values: Any) -> np.ndarray:
    """Return a column's values; what only pandas has a type for as objects."""
    dtype = values.dtype
    if isinstance(dtype, np.dtype):
        return np.asarray(values)
    made = np.empty(len(values), dtype=object)
    made[:] = list(values)
    return made


def _frame(value: pd.DataFrame, parts: list[bytes], depth: int) -> dict[str, Any]:
    columns = [_column(value.iloc[:, at]) for at in range(value.shape[1])]
    return {
        _TAG: "frame",
        "names": _items(list(value.columns), parts, depth),
        "columns": [_array(column, parts, depth) for column in columns],
        "rows": len(value),
    }


def _series(value: pd.Series, parts: list[bytes], depth: int) -> dict[str, Any]:
    name = _write(value.name, parts, depth)
    return {_TAG: "series", "name": name, "of": _array(_column(value), parts, depth)}


def _index(value: pd.Index, parts: list[bytes], depth: int) -> dict[str, Any]:
    return {_TAG: "index", "of": _array(_column(value), parts, depth)}


def _extension(value: Any, parts: list[bytes], depth: int) -> Any:
    return {_TAG: "tuple", "of": _items(list(value), parts, depth)}


def _mapping(value: Mapping[Any, Any], parts: list[bytes], depth: int) -> dict[str, Any]:
    return {
        _TAG: "dict",
        "keys": _items(list(value.keys()), parts, depth),
        "values": _items(list(value.values()), parts, depth),
    }


def _list(value: list[Any], parts: list[bytes], depth: int) -> list[Any]:
    return _items(list(value), parts, depth)


def _tuple(value: tuple[Any, ...], parts: list[bytes], depth: int) -> dict[str, Any]:
    return {_TAG: "tuple", "of": _items(list(value), parts, depth)}


def _sparse(value: Any, parts: list[bytes], depth: int) -> dict[str, Any]:
    return {_TAG: "sparse", "of": _array(np.asarray(value.toarray()), parts, depth)}


def _encoded(value: Any) -> str:
    return base64.b64encode(bytes(value)).decode("ascii")


_WRITERS: tuple[tuple[Any, Callable[..., Any]], ...] = (
    (np.ndarray, _array),
    (np.generic, _scalar),
    (pd.DataFrame, _frame),
    (pd.Series, _series),
    (pd.Index, _index),
    (pd.api.extensions.ExtensionArray, _extension),
    (Mapping, _mapping),
    (list, _list),
    (tuple, _tuple),
    (bool, lambda value, *_: bool(value)),
    (int, lambda value, *_: int(value)),
    (float, lambda value, *_: float(value)),
    (str, lambda value, *_: str.__str__(value)),
)

_AS_TEXT: tuple[tuple[Any, str, Callable[[Any], str]], ...] = (
    ((bytes, bytearray), "bytes", _encoded),
    (pd.Timestamp, "timestamp", lambda value: value.isoformat()),
    (dt.datetime, "datetime", lambda value: value.isoformat()),
    (dt.date, "date", lambda value: value.isoformat()),
    (dt.time, "time", lambda value: value.isoformat()),
    (Decimal, "decimal", str),
)
_MISSING: Mapping[str, Any] = {"nat": pd.NaT, "na": pd.NA}


def _read_array(told: Mapping[str, Any], parts: Sequence[Any]) -> np.ndarray:
    values = np.frombuffer(parts[told["part"]], dtype=np.dtype(told["dtype"]))
    return values.reshape(told["shape"])


def _read_objects(told: Mapping[str, Any], parts: Sequence[Any]) -> np.ndarray:
    flat = read(told["of"], parts)
    made = np.empty(len(flat), dtype=object)
    made[:] = flat
    return made.reshape(told["shape"])


def _read_masked(told: Mapping[str, Any], parts: Sequence[Any]) -> Any:
    data, mask = (read(each, parts) for each in told["of"])
    return np.ma.MaskedArray(data, mask)


def _read_frame(told: Mapping[str, Any], parts: Sequence[Any]) -> pd.DataFrame:
    columns = [read(column, parts) for column in told["columns"]]
    made = pd.DataFrame(dict(enumerate(columns)), index=pd.RangeIndex(told["rows"]))
    names = read(told["names"], parts)
    made.columns = pd.Index(names, tupleize_cols=False, dtype=None if names else object)
    return made


def _read_mapping(told: Mapping[str, Any], parts: Sequence[Any]) -> dict[Any, Any]:
    return dict(zip(read(told["keys"], parts), read(told["values"], parts), strict=True))


def _read_sparse(told: Mapping[str, Any], parts: Sequence[Any]) -> Any:
    import scipy.sparse

    return scipy.sparse.csr_matrix(read(told["of"], parts))


_READERS: Mapping[str, Callable[[Mapping[str, Any], Sequence[Any]], Any]] = {
    "array": _read_array,
    "objects": _read_objects,
    "masked": _read_masked,
    "scalar": lambda told, parts: read(told["of"], parts)[()],
    "frame": _read_frame,
    "series": lambda told, parts: pd.Series(
        read(told["of"], parts), name=read(told["name"], parts)
    ),
    "index": lambda told, parts: pd.Index(read(told["of"], parts)),
    "tuple": lambda told, parts: tuple(read(told["of"], parts)),
    "dict": _read_mapping,
    "sparse": _read_sparse,
}

_OF_TEXT: Mapping[str, Callable[[str], Any]] = {
    "bytes": base64.b64decode,
    "timestamp": pd.Timestamp,
    "datetime": dt.datetime.fromisoformat,
    "date": dt.date.fromisoformat,
    "time": dt.time.fromisoformat,
    "decimal": Decimal,
}
