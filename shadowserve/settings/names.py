"""Names as a setting may write them: pins, columns, digests, hosts, origins and paths.

Each reader returns the one spelling that the rest of the program compares with, and raises ValueError with
what is expected. `spellings` reads what has a unit or a range.
"""

from __future__ import annotations

import re

from shadowserve.errors import PinError
from shadowserve.settings import gate, spellings
from shadowserve.versions.pins import parse

LogInputs = str | tuple[str, ...]
"""``"none"``, ``"all"``, or the columns whose values may leave the journal."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")


def pin(value: object) -> str:
    """Keep the text, once it is sure to name one fixed version; the registry resolves it later."""
    written = spellings.text(value)
    try:
        parse(written)
    except PinError as error:
        raise ValueError(str(error)) from error
    return written


def alias(value: object) -> str:
    """Read the name of an alias, without its ``@``."""
    name = spellings.text(value).removeprefix("@")
    try:
        parse(f"@{name}")
    except PinError as error:
        raise ValueError(
            f"{name!r} is no alias: letters, digits, '_' and '-', and neither 'latest' nor 'v3'."
        ) from error
    return name


def pins(value: object) -> tuple[str, ...]:
    """Read several pins."""
    return tuple(pin(part) for part in spellings.texts(value))


def index(value: object) -> str:
    """Read the address of a package index, as uv and pip take it."""
    address = spellings.text(value)
    if not address.startswith(("https://", "http://", "file://")):
        raise ValueError(
            f"{address.partition('@')[2] or address!r} is no address. Write it like https://pypi.example/simple."
        )
    return address


def log_inputs(value: object) -> LogInputs:
    """Read which columns may be shown: a column called ``all`` must be listed with another one."""
    word = value.strip() if isinstance(value, str) else ""
    return word if word in ("none", "all") else spellings.texts(value)


def digests(value: object) -> tuple[str, ...]:
    """Read SHA-256 digests, in lower case as files' digests are written."""
    found = tuple(digest.lower() for digest in spellings.texts(value))
    for digest in found:
        if not _DIGEST.fullmatch(digest):
            raise ValueError(
                f"{digest!r} is no SHA-256 in hex, 64 digits. 'shadowserve pins' prints them."
            )
    return found


def hosts(value: object) -> tuple[str, ...]:
    """Read names as a Host header may bear them; ``*`` for all, ``*.example.com`` for all below it."""
    found = []
    for name in spellings.texts(value):
        known = gate.canonical(name.removeprefix("*."))
        if name != "*" and (known is None or known[1] is not None):
            raise ValueError(f"{name!r} is no host. Write its name alone, such as models.example.")
        found.append(name if known is None else f"{'*.' * name.startswith('*.')}{known[0]}")
    return tuple(found)


def origins(value: object) -> tuple[str, ...]:
    """Read origins as browsers send them; ``*`` for every page."""
    found = []
    for text in spellings.texts(value):
        origin = "*" if text == "*" else gate.written(text)
        if origin is None:
            raise ValueError(f"{text!r} is no origin. Write scheme and host: https://shop.example.")
        found.append(origin)
    return tuple(found)


def root_path(value: object) -> str:
    """Read the path before every route, without the slash at its end."""
    path = spellings.text(value).rstrip("/")
    if not _ROOT_PATH.fullmatch(path):
        raise ValueError(f"{value!r} is no path. Write it like /models/films.")
    return path
