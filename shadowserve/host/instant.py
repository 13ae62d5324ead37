"""An instant, by the wall clock and by the time since this machine started, which nobody can set.

A clock that is set back would make what was to last two weeks last for ever.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

_BOOT = Path("/proc/sys/kernel/random/boot_id")
SLACK_S = 60.0
"""By how much a clock may run back by itself: time servers and leap seconds move it a little."""


@dataclass(frozen=True, slots=True)
class Instant:
    """When something was.

    Parameters
    ----------
    wall_s : float
        Seconds since the epoch.
    boot : str
        Which start of the machine it belongs to; empty where that cannot be known.
    up_s : float
        Seconds since that start, times of sleep included.
    """

    wall_s: float
    boot: str = ""
    up_s: float = 0.0

    @classmethod
    def now(cls) -> Self:
        """Return this instant."""
        try:
            boot = _BOOT.read_text().strip()
            return cls(time.time(), boot, time.clock_gettime(time.CLOCK_BOOTTIME))
        except (OSError, AttributeError):  # no Linux: the wall clock alone
            return cls(time.time())

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Read what `to_dict` returned."""
        return cls(float(told["wall_s"]), str(told["boot"]), float(told["up_s"]))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {"wall_s": self.wall_s, "boot": self.boot, "up_s": self.up_s}

    def has_lasted(self, seconds: float, now: Instant) -> bool:
        """Tell whether so many seconds have passed since; of two clocks the first to say so is believed.

        Once the machine was started anew there is the wall clock alone. One that stands before this
        instant tells nothing, and then the time counts as over.

        Examples
        --------
        >>> noon = Instant(43_200.0, "this start", 100.0)
        >>> noon.has_lasted(60.0, Instant(43_230.0, "this start", 130.0))
        False
        >>> noon.has_lasted(60.0, Instant(0.0, "this start", 160.0))
        True
        >>> noon.has_lasted(60.0, Instant(0.0, "the next start", 5.0))
        True
        """
        if now.wall_s >= self.wall_s + seconds:
            return True
        if self.boot and self.boot == now.boot:
            return now.up_s >= self.up_s + seconds
        return now.wall_s < self.wall_s - SLACK_S
