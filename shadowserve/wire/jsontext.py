"""JSON text to Python values, strictly: what two readers could read differently is refused.

orjson reads; it already refuses numbers beyond float64 and text that is not UTF-8. A bare NaN is no
JSON, but Python's clients write one for each gap of a frame: it is read as null. orjson keeps
the last of two equal keys, though, and says nothing. Reading a second time to look for them would
cost six times as much as reading, so the keys are counted first: the text cannot hold fewer colons
than keys, and if the values hold as many keys as the text holds colons, none was swallowed. Where
texts hold colons too, those after a closing quote are counted, if every key is written that way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import orjson

from shadowserve.errors import RequestError

_BOM = b"\xef\xbb\xbf"
_UNCOUNTABLE = (b'\\":', b" :", b"\t:", b"\n:", b"\r:")
_NESTED = frozenset({list, dict})
_TEXT_OR_NAN = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\Z)|\bNaN\b', re.DOTALL)
"""Texts are taken whole, also one without an end, so that no byte is looked at twice."""


def loads(body: bytes, *, max_depth: int) -> Any:
    """Read one JSON document.

    Parameters
    ----------
    body : bytes
        UTF-8, with or without a byte order mark.
    max_depth : int
        Arrays and objects within each other.

    Returns
    -------
    object
        dict, list, str, int, float, bool or None. A whole number beyond 64 bits is a float.

    Raises
    ------
    RequestError
        ``bad_json``, ``duplicate_key`` or ``too_deep``.

    Examples
    --------
    >>> loads(b'{"a": [1, 2.5]}', max_depth=8)
    {'a': [1, 2.5]}
    """
    try:
        document = orjson.loads(body.removeprefix(_BOM))
    except orjson.JSONDecodeError as error:
        body, document = _without_nan(body, error)
    # Two counts settle it for nearly every body; only a bracket-rich one is walked.
    n_brackets = body.count(b"[") + body.count(b"{")
    if n_brackets > max_depth and _is_deeper(document, max_depth, n_brackets):
        raise _too_deep()
    # orjson keeps the last of two equal keys in silence. Reading again is slow, so counting comes
    # first.
    if not _keys_are_counted(body, document):
        _refuse_duplicates(body)
    return document


def refuse_nan(body: bytes) -> None:
    """Refuse a bare NaN, for who has asked for JSON to the letter; other faults are told by `loads`.

    Raises
    ------
    RequestError
        ``bad_json``.
    """
    if b"NaN" in body and any(found[0] == b"NaN" for found in _TEXT_OR_NAN.finditer(body)):
        raise RequestError("NaN is not JSON, and --strict-json is on; send null.", code="bad_json")


def _without_nan(body: bytes, error: orjson.JSONDecodeError) -> tuple[bytes, Any]:
    """Read again with null for each bare NaN; return what was read, too."""
    if b"NaN" not in body:
        raise _bad_json(body, error)
    changed = _TEXT_OR_NAN.sub(lambda found: b"null" if found[0] == b"NaN" else found[0], body)
    try:
        return changed, orjson.loads(changed.removeprefix(_BOM))
    except orjson.JSONDecodeError as still:
        raise _bad_json(changed, still) from None


def _bad_json(body: bytes, error: orjson.JSONDecodeError) -> RequestError:
    """Say where reading stopped; orjson's own words, which hold no value of the text."""
    if not body.strip():
        return RequestError("The body is empty. Send a JSON object.", code="empty")
    if "depth limit" in error.msg or "ecursion limit" in error.msg:
        return _too_deep()
    return RequestError(
        f"The body is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno}). "
        "Infinity is not JSON; send null, or the largest number that it stands for.",
        code="bad_json",
    )


def _too_deep() -> RequestError:
    return RequestError("The body's arrays and objects are nested too deeply.", code="too_deep")


def _is_deeper(document: Any, max_depth: int, n_brackets: int) -> bool:
    """Tell whether values are nested more deeply; the text holds so many opening brackets."""
    level, left = [document], n_brackets
    # Level by level, not by recursion: depth is what the sender chose.
    for _ in range(max_depth):
        left -= len(level)
        # Each value here is a bracket of the text: where all are found, many rows need not be walked.
        if left <= 0:
            return False
        level = [
            child
            for each in level
            for child in (each.values() if type(each) is dict else each)
            if type(child) in _NESTED
        ]
        if not level:
            return False
    return True


def _keys_are_counted(body: bytes, document: Any) -> bool:
    """Tell whether the values hold every key of the text, erring towards no."""
    n_keys = _n_keys(document)
    if body.count(b":") == n_keys:
        return True
    # A colon may stand in a text; one behind a quote is a key, unless escaped or spaced.
    return body.count(b'":') == n_keys and not any(mark in body for mark in _UNCOUNTABLE)


def _n_keys(document: Any) -> int:
    """Count the keys of the two upper levels; deeper ones are missed, which errs towards no."""
    if type(document) is not dict:
        return 0
    n_keys = len(document)
    for part in document.values():
        if type(part) is dict:
            n_keys += len(part)
        elif type(part) is list:
            n_keys += _total(part)
    return n_keys


def _total(records: Iterable[Any]) -> int:
    return sum([len(record) for record in records if type(record) is dict])


def _refuse_duplicates(body: bytes) -> None:
    try:
        json.loads(
            body.removeprefix(_BOM),
            object_pairs_hook=_distinct,
            parse_int=len,
            parse_float=len,
        )
    except RecursionError:
        raise _too_deep() from None


def _distinct(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise RequestError("An object of the body has the same key twice.", code="duplicate_key")
