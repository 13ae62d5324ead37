"""The wire: protocols to typed rows, predictions to JSON.

Everything a caller sends passes `parse`, everything a caller gets passes `answer` or `error_body`;
the Open Inference Protocol's forms are in `wire.oip`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from shadowserve.errors import RequestError
from shadowserve.schema.rows import Rows
from shadowserve.schema.schema import Schema
from shadowserve.wire.answers import answer, error_body, nonfinite, read_answer
from shadowserve.wire.csvtext import parse_csv, read_csv, type_csv
from shadowserve.wire.cut import split
from shadowserve.wire.jsontext import loads
from shadowserve.wire.limits import DEFAULT, Limits
from shadowserve.wire.scoring import parse_scoring, type_scoring

__all__ = [
    "Given",
    "Limits",
    "answer",
    "error_body",
    "is_json",
    "nonfinite",
    "parse",
    "parse_csv",
    "parse_scoring",
    "read_answer",
    "read_body",
    "split",
    "type_body",
    "type_scoring",
]


class Given(NamedTuple):
    """A body that was read but not typed: a JSON document, or lines of CSV fields."""

    content: Any
    is_csv: bool
    header: bool


def parse(
    body: bytes, content_type: str | None, schema: Schema, *, limits: Limits = DEFAULT
) -> Rows:
    """Parse a request of MLflow's scoring protocol.

    Parameters
    ----------
    body : bytes
        Already unpacked, within the size that the server allows.
    content_type : str or None
        ``application/json`` or ``text/csv``, with ``charset`` (UTF-8 only) and, for CSV,
        ``header=present`` or ``header=absent``.
    schema : Schema
    limits : Limits

    Raises
    ------
    RequestError
        With status 400, 413 or 415; never a value of the request in its text.
    """
    return type_body(read_body(body, content_type, limits=limits), schema, limits=limits)


def read_body(body: bytes, content_type: str | None, *, limits: Limits = DEFAULT) -> Given:
    """Read a body as its content type says, without typing its values; as `parse` otherwise."""
    is_csv, header = _media(content_type or "")
    return Given(
        read_csv(body) if is_csv else loads(body, max_depth=limits.max_depth), is_csv, header
    )


def type_body(given: Given, schema: Schema, *, limits: Limits = DEFAULT) -> Rows:
    """Type what `read_body` read; as `parse` otherwise."""
    if given.is_csv:
        return type_csv(given.content, schema, header=given.header, limits=limits)
    return type_scoring(given.content, schema, limits=limits)


def is_json(content_type: str) -> bool:
    """Tell whether a content type is JSON's, in UTF-8."""
    try:
        is_csv, _ = _media(content_type)
    except RequestError:
        return False
    return not is_csv


@lru_cache(maxsize=64)
def _media(content_type: str) -> tuple[bool, bool]:
    """Read a content type once: whether it is CSV, and whether that has a header line."""
    media, *pairs = (part.strip() for part in content_type.lower().split(";"))
    options = dict(pair.partition("=")[::2] for pair in pairs if pair)
    is_csv = media == "text/csv"
    charset = options.pop("charset", "utf-8").strip("\"' ")
    header = options.pop("header", "present").strip("\"' ") if is_csv else "present"
    if not (is_csv or media == "application/json") or charset not in ("utf-8", "utf8"):
        raise _unsupported()
    if options or header not in ("present", "absent"):
        raise _unsupported()
    return is_csv, header == "present"


def _unsupported() -> RequestError:
    return RequestError(
        "The content type is application/json or text/csv in UTF-8, the latter with "
        "header=present or header=absent if wanted; another one came.",
        code="unsupported_media_type",
        status=415,
    )
