"""When recorded requests are sent again: by the gaps in which they came, at a rate, or along a shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import pi, sin

SHAPES = ("burst", "ramp", "day")
LEAST = 0.1
"""Of the highest rate, where a ramp begins."""
NIGHT = 0.2
"""Of the highest rate, what comes at a day's quietest; and between bursts."""
BURST_EVERY_S, BURST_S = 10.0, 1.0
_STEP_S = 0.01
_NOTHING = 1e-9

Pace = Callable[[int], float]
"""Takes when a request came, in ns since the epoch, and returns when it is due, in s from the beginning."""


@dataclass(slots=True)
class Gaps:
    """The gaps in which they came, shortened.

    A clock that was set back in between makes a gap of nothing, whatever it says afterwards.

    Parameters
    ----------
    speed : float
        By how many times.

    Examples
    --------
    >>> gaps = Gaps(speed=2)
    >>> [gaps(int(at * 1e9)) for at in (100.0, 103.0, 3.0, 4.0)]
    [0.0, 1.5, 1.5, 2.0]
    """

    speed: float = 1.0
    _before_ns: int | None = None
    _due_s: float = 0.0

    def __call__(self, at_ns: int) -> float:
        """Return when the next request is due."""
        if self._before_ns is not None:
            self._due_s += max(0, at_ns - self._before_ns) / 1e9 / self.speed
        self._before_ns = at_ns
        return self._due_s


@dataclass(slots=True)
class Rated:
    """A rate that may change, whatever the gaps were; evenly within it.

    Parameters
    ----------
    rate : callable
        Seconds from the beginning to requests a second, above 0.

    Examples
    --------
    >>> even = Rated(lambda at_s: 4.0)
    >>> [round(even(0), 6) for _ in range(3)]
    [0.0, 0.25, 0.5]
    """

    rate: Callable[[float], float]
    _due_s: float | None = None

    def __call__(self, at_ns: int) -> float:  # noqa: ARG002 - a rate does not ask when it came
        """Return when the next request is due."""
        self._due_s = 0.0 if self._due_s is None else self._next(self._due_s)
        return self._due_s

    def _next(self, at_s: float) -> float:
        left = 1.0
        while left > _NOTHING:
            rate = self.rate(at_s)
            step = min(left / rate, _STEP_S)
            left -= rate * step
            at_s += step
        return at_s


def shaped(shape: str, *, most: float, length_s: float) -> Rated:
    """Return a pace along a shape.

    Parameters
    ----------
    shape : str
        One of `SHAPES`. ``ramp``: from a tenth of the highest rate to all of it. ``burst``: one second of ten at the
        highest rate, else a fifth of it. ``day``: one wave, from a fifth to all of it and back.
    most : float
        The highest rate, requests a second.
    length_s : float
        How long the ramp or the day lasts.
    """
    curves: dict[str, Callable[[float], float]] = {
        "ramp": lambda at_s: most * (LEAST + (1 - LEAST) * min(at_s / length_s, 1.0)),
        "burst": lambda at_s: most * (1.0 if at_s % BURST_EVERY_S >= BURST_EVERY_S - BURST_S else NIGHT),
        "day": lambda at_s: most * (NIGHT + (1 - NIGHT) * sin(pi * at_s / length_s) ** 2),
    }  # fmt: skip
    return Rated(curves[shape])


def even(rate: float) -> Rated:
    """Return a pace of so many requests a second, evenly."""
    return Rated(lambda _at_s: rate)
