"""Readers of settings as people write them: durations, sizes, shares, switches and names.

Each reader takes what a flag, a variable or a TOML file holds, as text or already typed, and
returns the value. If it cannot, it raises `ValueError` with a text that says what to write instead.
`settings` names the place where it stood and reports all faults together.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)", re.ASCII | re.IGNORECASE)
_SECONDS = {"": 1.0, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_BYTES = {"": 1, "b": 1}
for _place, _letter in enumerate("kmgt", start=1):
    _BYTES |= {f"{_letter}b": 1000**_place, f"{_letter}ib": 1024**_place}
_SWITCH = {"on": True, "true": True, "yes": True, "1": True}
_SWITCH |= {"off": False, "false": False, "no": False, "0": False}
_LARGEST_PORT = 65535
_HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,100}")


def duration(value: object) -> float:
    """Read a duration, more than nothing.

    Parameters
    ----------
    value : object
        ``"10s"``, ``"500ms"``, ``"1m"``, ``"2h"``, ``"7d"``, ``"2w"``, or a bare number of seconds.

    Returns
    -------
    float
        Seconds.

    Raises
    ------
    ValueError
        Anything else, and 0.

    Examples
    --------
    >>> duration("500ms"), duration("1m"), duration(10)
    (0.5, 60.0, 10.0)
    """
    seconds = _quantity(value, _SECONDS)
    if seconds is None:
        raise ValueError(f"{value!r} is no duration. Write 10s, 500ms or 1m.")
    return seconds


def size(value: object) -> int:
    """Read a number of bytes, at least 1.

    Parameters
    ----------
    value : object
        ``"2GiB"`` (1024 to the third), ``"2GB"`` (1000 to the third), ``"512MiB"``, or a bare
        number of bytes. Case does not matter.

    Raises
    ------
    ValueError
        Anything else, and less than a byte.

    Examples
    --------
    >>> size("16MiB"), size("1.5 kB"), size(4096)
    (16777216, 1500, 4096)
    """
    n_bytes = _quantity(value, _BYTES)
    if n_bytes is None or n_bytes < 1:
        raise ValueError(f"{value!r} is no size. Write 2GiB, 512MiB or a number of bytes.")
    return int(n_bytes)


def delay(value: object) -> float:
    """Read a duration that may be nothing at all; seconds.

    Examples
    --------
    >>> delay("0s"), delay(0), delay("5s")
    (0.0, 0.0, 5.0)
    """
    return 0.0 if str(value).strip() in ("0", "0s", "0.0", "0ms", "0m") else duration(value)


def size_text(n_bytes: int) -> str:
    """Write a number of bytes as people do, in the largest unit that keeps it above 1.

    Examples
    --------
    >>> size_text(16 * 2**20), size_text(2**31), size_text(1536), size_text(3)
    ('16MiB', '2GiB', '1.5KiB', '3B')
    """
    for place, unit in ((4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")):
        if n_bytes >= 1024**place:
            return f"{n_bytes / 1024**place:.4g}{unit}"
    return f"{n_bytes}B"


def _quantity(value: object, units: dict[str, float] | dict[str, int]) -> float | None:
    """Return a finite number above 0 in base units; None for any other value."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        amount, unit = float(value), ""
    else:
        match = _QUANTITY.fullmatch(str(value).strip())
        amount, unit = (float(match[1]), match[2].lower()) if match else (0.0, "")
    if unit not in units or not (math.isfinite(amount) and amount > 0):
        return None
    return amount * units[unit]


def share(value: object) -> float:
    """Read a share from 0 (none) to 1 (all), ends included.

    Raises
    ------
    ValueError
        Not a number, or outside.

    Examples
    --------
    >>> share("0.25"), share(1)
    (0.25, 1.0)
    """
    try:
        number = math.nan if isinstance(value, bool) else float(str(value))
    except ValueError:
        number = math.nan
    if not 0.0 <= number <= 1.0:
        raise ValueError(f"{value!r} is no share. Write a number from 0 to 1, such as 0.1.")
    return number


def header_name(value: object) -> str:
    """Read the name of an HTTP header, in lower case (RFC 9110, section 5.1).

    Raises
    ------
    ValueError
        For what no header can be called.

    Examples
    --------
    >>> header_name(" X-Customer-Id ")
    'x-customer-id'
    """
    name = str(value).strip().lower()
    if not _HEADER.fullmatch(name):
        raise ValueError(f"{value!r} is no name of a header. Write one such as X-Customer-Id.")
    return name


def port(value: object) -> int:
    """Read a port, 0 for any that is free.

    Raises
    ------
    ValueError
        Not a whole number from 0 to 65535.
    """
    return _whole(value, least=0, most=_LARGEST_PORT)


def count(value: object) -> int:
    """Read a whole number of at least 1.

    Raises
    ------
    ValueError
        Anything else.
    """
    return _whole(value, least=1)


def _whole(value: object, *, least: int, most: int | None = None) -> int:
    text = str(value).strip()
    # Python refuses to read thousands of digits, and no setting has ten.
    digits = text.isascii() and text.isdigit() and len(text) < 10
    number = int(text) if digits else -1
    if number < least or (most is not None and number > most):
        bounds = f"from {least} to {most}" if most is not None else f"of at least {least}"
        raise ValueError(f"{value!r} is not a whole number {bounds}.")
    return number


def switch(value: object) -> bool:
    """Read yes or no.

    Raises
    ------
    ValueError
        Anything but a boolean, or on, off, true, false, yes, no, 1, 0 in any case.

    Examples
    --------
    >>> switch("on"), switch(False)
    (True, False)
    """
    known = _SWITCH.get(str(value).strip().lower())
    if known is None:
        raise ValueError(f"{value!r} is neither on nor off.")
    return known


def text(value: object) -> str:
    """Read text that is not empty; a number is taken as it is written.

    Raises
    ------
    ValueError
        Empty, or a list, table or boolean.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float | Path):
        raise ValueError(f"a {type(value).__name__} stands where text is expected.")
    if not str(value).strip():
        raise ValueError("it is empty. Leave it out, or write a value.")
    return str(value).strip()


def path(value: object) -> Path:
    """Read a path; ``~`` is the home directory.

    Raises
    ------
    ValueError
        As for `text`.
    """
    return Path(text(value)).expanduser()


def texts(value: object) -> tuple[str, ...]:
    """Read one or more texts: a list, or one text cut at its commas.

    Raises
    ------
    ValueError
        An empty one among them.

    Examples
    --------
    >>> texts("v4, v5"), texts(["v4", "models:/a,b/5"])
    (('v4', 'v5'), ('v4', 'models:/a,b/5'))
    """
    parts = value if isinstance(value, list | tuple) else text(value).split(",")
    return tuple(text(part) for part in parts)


def one_of(choices: Sequence[str]) -> Callable[[object], str]:
    """Return a reader of one word out of a few, which raises ValueError for any other.

    Examples
    --------
    >>> one_of(("predict", "predict_proba"))("predict")
    'predict'
    """

    def read(value: object) -> str:
        if value not in choices:
            raise ValueError(f"{value!r} is not known. Choose from {', '.join(choices)}.")
        return str(value)

    return read


_DIGITS = re.compile(r"[0-9]{1,9}")
_MOST_CPU = 65_535
"""Far beyond any host: a slip such as ``0-100000000`` is told at once, and builds no list."""


def placement(value: object) -> Literal["auto", "off"] | tuple[int, ...]:
    """Read where processes may run: ``auto``, ``off``, or CPUs as `taskset` takes them.

    Examples
    --------
    >>> placement("0,4-6"), placement("off")
    ((0, 4, 5, 6), 'off')
    """
    if value == "auto" or value == "off":
        return value
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = ",".join(map(str, value))
    found: set[int] = set()
    for part in str(value).split(","):
        first, dash, last = part.strip().partition("-")
        last = last if dash else first
        if not (_DIGITS.fullmatch(first) and _DIGITS.fullmatch(last)):
            raise ValueError(f"{value!r} is no list of CPUs. Write auto, off, or CPUs like 0,4-6.")
        low, high = int(first), int(last)
        if not low <= high <= _MOST_CPU:
            raise ValueError(
                f"{part.strip()!r} is no range of CPUs. Write the lower one first: 4-6."
            )
        found.update(range(low, high + 1))
    return tuple(sorted(found))
