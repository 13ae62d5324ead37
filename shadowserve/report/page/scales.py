"""Scales of a picture's axes: from values to a share of its width or height, and the ticks between."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil, floor, isfinite, log10
from typing import Protocol

from shadowserve.report.wording import short

Tick = tuple[float, str]
"""Where it stands, as a share from 0 to 1, and what it says."""


class Scale(Protocol):
    """One axis."""

    def share(self, value: float) -> float:
        """Return where a value lies, from 0 to 1."""
        ...

    @property
    def ticks(self) -> Sequence[Tick]:
        """A few places that are named."""
        ...


@dataclass(frozen=True, slots=True)
class Linear:
    """An even axis from `low` to `high`; what lies beyond is drawn at its end.

    Parameters
    ----------
    low, high : float
    unit : str
        Written behind each tick; ``%`` for shares, which are told in per cent.

    Examples
    --------
    >>> axis = Linear.over([0.0, 0.031], unit="%")
    >>> axis.share(0.02), axis.ticks
    (0.5, [(0.0, '0 %'), (0.25, '1 %'), (0.5, '2 %'), (0.75, '3 %'), (1.0, '4 %')])
    """

    low: float
    high: float
    step: float
    unit: str = ""

    @classmethod
    def over(cls, values: Iterable[float], *, unit: str = "", zero: bool = True) -> Linear:
        """Return an axis that holds all values, from zero where `zero`, between round numbers."""
        known = [value for value in values if isfinite(value)] or [0.0, 1.0]
        low, high = min([*known, 0.0] if zero else known), max(known)
        span = (high - low) or abs(high) or 1.0
        step = _round(span / 4)
        first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
        return cls(first * step, max(last, first + 1) * step, step, unit)

    def share(self, value: float) -> float:
        """Return where a value lies."""
        return _bounded((value - self.low) / (self.high - self.low))

    @property
    def ticks(self) -> list[Tick]:
        """Round numbers."""
        n = round((self.high - self.low) / self.step)
        values = [self.low + i * self.step for i in range(n + 1)]
        return [(i / n, self._told(value)) for i, value in enumerate(values)]

    def _told(self, value: float) -> str:
        # Sums of steps are off by a last digit, and zero is written without one.
        value = 0.0 if abs(value) < self.step / 1e6 else value
        scaled = 100 * value if self.unit == "%" else value
        return f"{short(scaled)} {self.unit}".rstrip()


@dataclass(frozen=True, slots=True)
class Log:
    """A logarithmic axis over whole powers of ten; what is not above `least` lies at its beginning.

    Examples
    --------
    >>> axis = Log.over([0.02, 350.0], unit="ms")
    >>> axis.share(1.0), [told for _, told in axis.ticks]
    (0.4, ['0.01 ms', '0.1 ms', '1 ms', '10 ms', '100 ms', '1,000 ms'])
    """

    low: int
    high: int
    unit: str = ""

    @classmethod
    def over(cls, values: Iterable[float], *, unit: str = "", least: float = 1e-3) -> Log:
        """Return an axis that holds all values."""
        known = [log10(max(value, least)) for value in values if isfinite(value)] or [0.0]
        low = floor(min(known) + 1e-9)
        # Values that are all alike would leave no room between the axis's ends.
        return cls(low, max(ceil(max(known) - 1e-9), low + 1), unit)

    def share(self, value: float) -> float:
        """Return where a value lies."""
        if value <= 0:
            return 0.0
        return _bounded((log10(value) - self.low) / (self.high - self.low))

    @property
    def ticks(self) -> list[Tick]:
        """Powers of ten; every other one where there are many."""
        every = ceil((self.high - self.low) / 6)
        powers = range(self.low, self.high + 1, every)
        return [(self.share(10.0**p), f"{_power(p)} {self.unit}".rstrip()) for p in powers]


@dataclass(frozen=True, slots=True)
class Clock:
    """Time in UTC; values are seconds since the epoch."""

    low: float
    high: float

    @classmethod
    def over(cls, values: Iterable[float]) -> Clock:
        """Return an axis from the first to the last moment, a minute long at least."""
        known = list(values) or [0.0]
        return cls(min(known), max(max(known), min(known) + 60))

    def share(self, value: float) -> float:
        """Return where a moment lies."""
        return _bounded((value - self.low) / (self.high - self.low))

    @property
    def ticks(self) -> list[Tick]:
        """The beginning, the end and two moments between them; with a date where it is more than a day."""
        span = self.high - self.low
        form = "%H:%M:%S" if span < 600 else "%H:%M" if span < 86_400 else "%d %b %H:%M"
        shares = (0.0, 0.5, 1.0) if span >= 86_400 else (0.0, 1 / 3, 2 / 3, 1.0)
        moments = [
            datetime.fromtimestamp(self.low + s * (self.high - self.low), UTC) for s in shares
        ]
        return [(s, f"{moment:{form}}") for s, moment in zip(shares, moments, strict=True)]


def _power(exponent: int) -> str:
    return f"{10**exponent:,}" if exponent >= 0 else f"{10.0**exponent:g}"


def _bounded(share: float) -> float:
    return min(max(share, 0.0), 1.0)


def _round(step: float) -> float:
    """Return the next of 1, 2 or 5 times a power of ten.

    Examples
    --------
    >>> _round(0.013), _round(3), _round(60)
    (0.02, 5.0, 100.0)
    """
    power = 10.0 ** floor(log10(step))
    return float(next(f * power for f in (1, 2, 5, 10) if f * power >= step * (1 - 1e-9)))
