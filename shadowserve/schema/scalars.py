"""The typing rule of one value: a JSON value becomes a typed one, or is refused.

Nothing here looks at more than one value. `casting` applies it to columns, `nested` to the leaves
of arrays and objects. The whole table is in ``docs/protocol.md``; a test holds the two together.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

EXACT = 2**53
INT_BITS = {"integer": 32, "long": 64}
_EPOCH = datetime(1970, 1, 1)
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:?\d\d)?)?",
    re.ASCII,
)
_PANDAS_TEXT_IS_STR = int(pd.__version__.split(".", 1)[0]) >= 3
NO_TEXT = math.nan if _PANDAS_TEXT_IS_STR else None
"""A missing text, as the installed pandas writes it: NaN from pandas 3 on, None before."""

_EXPECTED = {
    "boolean": "true or false",
    "integer": "a whole number of 32 bits",
    "long": "a whole number of 64 bits",
    "float": "a number within the range of float32",
    "double": "a number",
    "string": "a string",
    "binary": "base64 text",
    "datetime": "an ISO-8601 date or time between 1678 and 2261, such as 2024-03-01T12:00:00Z",
}
SCALARS = frozenset(_EXPECTED)
_NULLABLE = frozenset({"float", "double", "datetime"})


class Refusal(ValueError):  # noqa: N818 - becomes a RequestError once column and row are known
    """One value is not of its type: what was expected, what kind of value came, and where inside."""

    def __init__(self, expected: str, *, received: str, path: str = "") -> None:
        super().__init__(expected)
        self.expected = expected
        self.received = received
        self.path = path


def kind_of(value: object) -> str:
    """Say what kind of JSON value this is, without saying the value.

    Examples
    --------
    >>> kind_of(41.5)
    'a number with a fraction'
    """
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int):
        return "a whole number"
    if isinstance(value, float):
        return "a number with a fraction" if value % 1 else "a floating-point number"
    return {type(None): "null", str: "a string", list: "an array", dict: "an object"}.get(
        type(value), "another kind of value"
    )


def scalar(type_: str, *, required: bool = True) -> Callable[[Any], Any]:
    """Return the function that types one value, or raises `Refusal`."""
    strict = _STRICT[type_]
    if required and type_ not in _NULLABLE:
        return strict
    null: Any = {
        "float": math.nan,
        "double": math.nan,
        "integer": math.nan,
        "long": math.nan,
        "datetime": np.datetime64("NaT", "ns"),
        "string": NO_TEXT,
    }.get(type_)
    if type_ == "long":
        strict = _strict_exact
    return lambda value: null if value is None else strict(value)


def refuse(type_: str, value: object) -> Refusal:
    """Return the refusal of a value by a scalar type."""
    return Refusal(_EXPECTED[type_], received=kind_of(value))


def _strict_boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise refuse("boolean", value)
    return value


def _strict_whole(value: Any, *, type_: str) -> int:
    if (
        type(value) is float and value % 1 == 0 and abs(value) < EXACT
    ):  # 2**53 may have been 2**53 + 1
        value = int(value)
    if type(value) is not int:
        raise refuse(type_, value)
    limit = 1 << (INT_BITS[type_] - 1)
    if not -limit <= value < limit:
        raise Refusal(_EXPECTED[type_], received="a number out of its range")
    return value


def _strict_integer(value: Any) -> int:
    return _strict_whole(value, type_="integer")


def _strict_long(value: Any) -> int:
    return _strict_whole(value, type_="long")


def _strict_exact(value: Any) -> int:
    whole = _strict_long(value)
    # An optional column is held as float64, which would change such a number in silence.
    if int(float(whole)) != whole:
        raise Refusal(
            "a whole number that float64 holds exactly", received="one with too many digits"
        )
    return whole


def _strict_double(value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is not int:
        raise refuse("double", value)
    try:
        number = float(value)
    except OverflowError:
        raise Refusal(_EXPECTED["double"], received="one out of the range of float64") from None
    if int(number) != value:
        raise Refusal(
            "a number that float64 holds exactly", received="a whole number with too many digits"
        )
    return number


def _strict_float(value: Any) -> float:
    if type(value) not in (float, int):
        raise refuse("float", value)
    try:
        with np.errstate(over="ignore"):
            # Rounded to float32 first: a number just beyond the largest may round to it.
            number = float(np.float32(value))
    except OverflowError:
        number = math.inf
    if math.isinf(number):
        raise Refusal(_EXPECTED["float"], received="a number out of its range")
    return number


def _strict_string(value: Any) -> str:
    if type(value) is not str:
        raise refuse("string", value)
    return value


def _strict_binary(value: Any) -> bytes:
    if type(value) is not str:
        raise refuse("binary", value)
    try:
        # Encoders break long lines; nothing else but the alphabet passes.
        return base64.b64decode(value.replace("\n", ""), validate=True)
    except (binascii.Error, ValueError):
        raise Refusal(_EXPECTED["binary"], received="another string") from None


def _strict_datetime(value: Any) -> np.datetime64:
    """Read ISO-8601; an offset is converted to UTC, and the result carries no zone."""
    if type(value) is not str:
        raise refuse("datetime", value)
    match = _ISO.fullmatch(value)
    try:
        if match is None:
            raise ValueError
        nanoseconds = _nanoseconds(*match.groups())
    except (ValueError, OverflowError):
        raise Refusal(_EXPECTED["datetime"], received="another string") from None
    return np.datetime64(nanoseconds, "ns")


def _nanoseconds(
    day: str, minutes: str | None, seconds: str | None, fraction: str | None, offset: str | None
) -> int:
    moment = datetime.fromisoformat(f"{day}T{minutes or '00:00'}:{seconds or '00'}")
    if offset and offset != "Z":
        hours, rest = int(offset[1:3]), int(offset[-2:])
        # A timedelta takes 99 minutes without a word.
        if hours > 23 or rest > 59:
            raise ValueError
        shift = timedelta(hours=hours, minutes=rest)
        moment = moment - shift if offset[0] == "+" else moment + shift
    since = moment - _EPOCH
    total = (since.days * 86_400 + since.seconds) * 10**9 + int((fraction or "0").ljust(9, "0"))
    # The least number of 64 bits means NaT.
    if not -(2**63) < total < 2**63:
        raise OverflowError
    return total


_STRICT: dict[str, Callable[[Any], Any]] = {
    "boolean": _strict_boolean,
    "integer": _strict_integer,
    "long": _strict_long,
    "float": _strict_float,
    "double": _strict_double,
    "string": _strict_string,
    "binary": _strict_binary,
    "datetime": _strict_datetime,
}
