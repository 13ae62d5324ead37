"""How far behind a lane is, in numbers and in words: what is not scored yet, and when it will be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import Any

from shadowserve.legible import counted, number
from shadowserve.statistics.headway import Headway
from shadowserve.statistics.thinning import Thinning

TOLD_S = 30.0
"""A lane is called behind when the oldest request that waits is so old."""

HEADROOM = 0.9
"""Share of its time that a process may be busy."""

CLEARLY = 1.02
"""By how much more must be dealt with than comes, before a time is told at which it has caught up."""

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Behind:
    """A lane that is behind, or that thins its traffic since it was.

    Parameters
    ----------
    lag_s : float
        Age of the oldest request that waits; 0 if none does.
    pending : int
        Requests that wait.
    came_per_s, dealt_per_s : float
        Requests a second that come, and that the lane gets through, lately.
    processes, most : int
        How many processes score for it, and how many may.
    share : float
        Share of the traffic that it scores.
    now_s : float
        Since the epoch.

    Examples
    --------
    >>> print(Behind(2400.0, 600_000, 800.0, 1300.0, now_s=1_800_000_000.0))
    the last 40 minutes (600,000 requests) are not scored yet; at this pace it has caught up at 08:20 UTC
    >>> print(Behind(2400.0, 600_000, 2000.0, 800.0, now_s=0.0))
    falling behind: 2,000 requests a second come, and it gets through 800; the last 40 minutes \
(600,000 requests) are not scored yet; it needs 3 processes
    """

    lag_s: float
    pending: int
    came_per_s: float
    dealt_per_s: float
    processes: int = 1
    most: int = 1
    share: float = 1.0
    now_s: float = 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds until it has caught up, at the pace of lately; None where it does not catch up."""
        if self.dealt_per_s <= CLEARLY * self.came_per_s:
            return None
        return self.pending / (self.dealt_per_s - self.came_per_s)

    @property
    def needed(self) -> int | None:
        """How many processes this traffic needs; None where those it has do, or where that is not known."""
        if self.left_s is not None or not self.dealt_per_s:
            return None
        # What is thinned is dealt with for nothing: all of it would take so much more.
        whole = self.came_per_s / (HEADROOM * self.dealt_per_s * self.share)
        return max(self.processes + 1, ceil(self.processes * whole))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        left_s = self.left_s
        return {
            "says": str(self),
            "caught_up": None if left_s is None else _moment(self.now_s + left_s),
            "came_per_s": round(self.came_per_s, 3),
            "dealt_per_s": round(self.dealt_per_s, 3),
            "processes_needed": self.needed,
            "share": self.share,
        }

    def __str__(self) -> str:
        """Say it, as what follows the lane's name and a colon."""
        return "; ".join(self._clauses())

    def _clauses(self) -> list[str]:
        told, left_s = [], self.left_s
        waits = self.lag_s >= TOLD_S
        if waits and self.needed is not None:
            told.append(
                f"falling behind: {number(self.came_per_s)} requests a second come, and it gets "
                f"through {number(self.dealt_per_s)}"
            )
        if waits:
            told.append(
                f"the last {lasted(self.lag_s)} ({counted(self.pending, 'request')}) are not scored yet"
            )
        if waits and left_s is not None:
            told.append(
                f"at this pace it has caught up {_when(self.now_s + left_s, now_s=self.now_s)}"
            )
        if waits and self.needed is not None:
            told.append(f"it needs {self.needed} processes")
        if self.share < 1:
            told.append(
                f"1 request in {1 / self.share:.0f} is scored, the others are counted as sampled out"
            )
        return told


def behind(
    headway: Headway, thinning: Thinning, *, lag_s: float, pending: int, now_s: float
) -> Behind | None:
    """Return how far a lane is behind; None where it keeps up and scores everything."""
    if lag_s < TOLD_S and thinning.now >= 1:
        return None
    return Behind(
        lag_s=lag_s,
        pending=pending,
        came_per_s=headway.came_per_s,
        dealt_per_s=headway.dealt_per_s,
        processes=headway.processes,
        most=headway.most,
        share=thinning.now,
        now_s=now_s,
    )


def lasted(seconds: float) -> str:
    """Write a span of time as people say it.

    Examples
    --------
    >>> lasted(45), lasted(2400), lasted(3 * 3600), lasted(5 * 86_400)
    ('45 seconds', '40 minutes', '3 hours', '5 days')
    """
    for unit, length in (("day", DAY_S), ("hour", 3_600), ("minute", 60)):
        if seconds >= 1.5 * length:
            return counted(round(seconds / length), unit)
    return counted(round(seconds), "second")


def _when(moment_s: float, *, now_s: float) -> str:
    moment = datetime.fromtimestamp(moment_s, UTC)
    if moment_s - now_s < DAY_S:
        return f"at {moment:%H:%M} UTC"
    return f"on {moment:%Y-%m-%d}"


def _moment(moment_s: float) -> str:
    return datetime.fromtimestamp(moment_s, UTC).isoformat(timespec="seconds")
