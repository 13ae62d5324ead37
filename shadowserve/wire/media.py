"""Content types: which ones are taken, and what they say of a body."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from shadowserve.errors import RequestError
from shadowserve.wire.jsontext import loads
from shadowserve.wire.limits import MAX_DEPTH


@lru_cache(maxsize=64)
def media(content_type: str) -> tuple[bool, bool]:
    """Return whether a content type is CSV's, and whether that has a header line.

    Raises
    ------
    RequestError
        415 for what is neither JSON nor CSV in UTF-8.
    """
    kind, *pairs = (part.strip() for part in content_type.lower().split(";"))
    options = dict(pair.partition("=")[::2] for pair in pairs if pair)
    is_csv = kind == "text/csv"
    charset = options.pop("charset", "utf-8").strip("\"' ")
    header = options.pop("header", "present").strip("\"' ") if is_csv else "present"
    if not (is_csv or kind == "application/json") or charset not in ("utf-8", "utf8"):
        raise _unsupported()
    if options or header not in ("present", "absent"):
        raise _unsupported()
    return is_csv, header == "present"


def read_json(body: bytes, content_type: str) -> Any:
    """Read JSON that is called so, or that nothing is said of, as clients of typed protocols do.

    Raises
    ------
    RequestError
        415 for another content type; 400 for what is no JSON.
    """
    if content_type and not _is_json(content_type):
        raise RequestError(
            "The content type is application/json in UTF-8; another one came.",
            code="unsupported_media_type",
            status=415,
        )
    return loads(body, max_depth=MAX_DEPTH)


def _is_json(content_type: str) -> bool:
    try:
        is_csv, _ = media(content_type)
    except RequestError:
        return False
    return not is_csv


def _unsupported() -> RequestError:
    return RequestError(
        "The content type is application/json or text/csv in UTF-8, the latter with "
        "header=present or header=absent if wanted; another one came.",
        code="unsupported_media_type",
        status=415,
    )
