"""How much of the past is kept: for so long, so many bytes, or both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shadowserve.settings.spellings import duration, size, size_text


@dataclass(frozen=True, slots=True)
class Keep:
    """What is kept of the journal after every lane has read it; what comes first decides.

    Parameters
    ----------
    age_s : float or None
        Since a segment's last request arrived.
    bytes : int or None
        Of all that is archived, on disk.
    """

    age_s: float | None = None
    bytes: int | None = None

    def __str__(self) -> str:
        parts = [] if self.age_s is None else [f"for {self.age_s / 86_400:.4g} days"]
        parts += [] if self.bytes is None else [f"at most {size_text(self.bytes)}"]
        return ", ".join(parts)

    @property
    def spelled(self) -> str:
        """As `keep` reads it."""
        parts = [] if self.age_s is None else [f"{self.age_s}s"]
        parts += [] if self.bytes is None else [f"{self.bytes}B"]
        return ",".join(parts)


def keep(value: object) -> Keep | None:
    """Read how much of the past is kept.

    Parameters
    ----------
    value : object
        ``"7d"``, ``"50GiB"``, ``"7d,50GiB"``; ``"off"`` for nothing.

    Raises
    ------
    ValueError
        Anything else.

    Examples
    --------
    >>> keep("7d,50GiB")
    Keep(age_s=604800.0, bytes=53687091200)
    >>> keep("off")
    """
    if isinstance(value, Keep):
        return value
    text = str(value).strip()
    if value is None or value is False or text.lower() == "off":
        return None
    parts = text.split(",")
    ages = [duration(part) for part in parts if _is_duration(part)]
    sizes = [size(part) for part in parts if _is_size(part)]
    if len(ages) + len(sizes) < len(parts):
        raise ValueError(
            f"{value!r} says neither how long nor how much. Write 7d, 50GiB, both as 7d,50GiB, or off."
        )
    if len(ages) > 1 or len(sizes) > 1:
        raise ValueError(f"{value!r} says it twice. Write one duration and one size, as 7d,50GiB.")
    return Keep(ages[0] if ages else None, sizes[0] if sizes else None)


def _is_duration(part: str) -> bool:
    # A bare number could be either.
    return not _is_bare(part) and _reads(duration, part)


def _is_size(part: str) -> bool:
    return not _is_bare(part) and _reads(size, part)


def _is_bare(part: str) -> bool:
    return part.strip()[-1:].isdigit()


def _reads(read: Callable[[object], object], part: str) -> bool:
    try:
        read(part)
    except ValueError:
        return False
    return True
