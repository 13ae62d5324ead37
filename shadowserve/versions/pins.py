"""Pins: how a person writes one fixed version, and what that text means.

Everything that serves, scores or reports names its version by a `Pin`. The command line takes
several spellings; `parse` turns each into a `Reference`, and the registry resolves that once, at
start. A text that could mean another version tomorrow (`latest`, a stage) is refused here, so `v3`
never reaches MLflow as the name of a stage.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from shadowserve.errors import PinError

LARGEST_VERSION = 2**31 - 1
"""MLflow keeps version numbers in a 32-bit column."""

_NUMBER = re.compile(r"v?([0-9]+)", re.ASCII)
_ALIAS = re.compile(r"[\w-]+")
_MODELS = "models:/"
_NEXT = "Write a number, such as 'v7'; 'shadowserve pins' lists them."


@dataclass(frozen=True, slots=True, order=True)
class Pin:
    """One version of one registered model, for good.

    Parameters
    ----------
    model : str
        Registered name; dots, spaces, ``@`` and any script are allowed, ``/`` and ``:`` are not.
    version : int
        Number of the version, at least 1.

    Examples
    --------
    >>> str(Pin("films", 3)), Pin("films", 3).label
    ('films:3', 'v3')
    """

    model: str
    version: int

    def __str__(self) -> str:
        return f"{self.model}:{self.version}"

    @property
    def label(self) -> str:
        """The version as people say it: ``v3``."""
        return f"v{self.version}"


@dataclass(frozen=True, slots=True)
class Reference:
    """What a text says about a version: a number or an alias, with or without a model's name.

    Exactly one of `version` and `alias` is set.
    """

    model: str | None
    version: int | None
    alias: str | None

    def __str__(self) -> str:
        suffix = f"@{self.alias}" if self.alias is not None else f"v{self.version}"
        if self.model is None:
            return suffix
        return f"{self.model}{suffix}" if self.alias is not None else f"{self.model}:{self.version}"


def parse(text: str) -> Reference:
    """Read a version as written on a command line or in a settings file.

    Parameters
    ----------
    text : str
        ``v3``, ``3``, ``v03``, ``@champion``, ``films:3``, ``films@champion``,
        ``models:/films/3`` or ``models:/films@champion``.

    Returns
    -------
    Reference
        Without a model where the text names none.

    Raises
    ------
    PinError
        The text is empty, not a whole number of at least 1, or may mean another version tomorrow
        (``latest``, a stage).

    Examples
    --------
    >>> parse("v03")
    Reference(model=None, version=3, alias=None)
    >>> parse("models:/ml.team.films@champion")
    Reference(model='ml.team.films', version=None, alias='champion')
    >>> parse("films:latest")
    Traceback (most recent call last):
        ...
    shadowserve.errors.PinError: Pin 'films:latest' has no fixed version. Write a number, such as \
'v7'; 'shadowserve pins' lists them.
    """
    stripped = text.strip()
    if not stripped:
        raise PinError(f"Pin is empty. {_NEXT}")
    model, suffix, is_alias = _split(stripped, text)
    if model is not None and (not model.strip() or "/" in model or ":" in model):
        raise PinError(f"Pin {text!r} names no model. Write it as 'films:7' or 'models:/films/7'.")
    if is_alias:
        return Reference(model=model, version=None, alias=_alias(suffix, text))
    return Reference(model=model, version=_number(suffix, text), alias=None)


def _split(stripped: str, text: str) -> tuple[str | None, str, bool]:
    """Cut into the model's name, what follows it, and whether that is an alias."""
    if stripped.startswith(_MODELS):
        path = stripped[len(_MODELS) :]
        if "/" in path:
            model, _, number = path.partition("/")
            return model, number, False
        if "@" in path:
            model, _, alias = path.rpartition("@")
            return model, alias, True
        raise PinError(f"Pin {text!r} has no fixed version. {_NEXT}")
    if ":" in stripped:
        model, _, number = stripped.rpartition(":")
        return model, number, False
    if "@" in stripped:
        # The last one, since a model's name may hold an @ itself.
        model, _, alias = stripped.rpartition("@")
        return model or None, alias, True
    return None, stripped, False


def _number(suffix: str, text: str) -> int:
    match = _NUMBER.fullmatch(suffix)
    if match is None:
        raise PinError(f"Pin {text!r} {_fault(suffix)}. {_NEXT}")
    # Python refuses to read thousands of digits; so many are out of range anyway.
    number = int(match[1]) if len(match[1]) < 20 else LARGEST_VERSION + 1
    if not 1 <= number <= LARGEST_VERSION:
        raise PinError(f"Pin {text!r} is out of range: versions count from 1. {_NEXT}")
    return number


def _fault(suffix: str) -> str:
    looks_like_number = re.fullmatch(r"v?[-+]?[0-9]+(\.[0-9]*)?", suffix, re.ASCII)
    return "is not a whole number of at least 1" if looks_like_number else "has no fixed version"


def _alias(suffix: str, text: str) -> str:
    """MLflow reserves ``latest`` and ``v<number>``, so neither can be an alias."""
    if suffix.lower() == "latest":
        raise PinError(f"Pin {text!r} has no fixed version. {_NEXT}")
    if _NUMBER.fullmatch(suffix.lower()) and suffix[:1] in "vV":
        raise PinError(f"Pin {text!r} mixes an alias and a number. Write {suffix!r} without '@'.")
    if not _ALIAS.fullmatch(suffix):
        raise PinError(
            f"Pin {text!r} has no valid alias after '@': letters, digits, '_' and '-' only. {_NEXT}"
        )
    return suffix
