"""What a lane is at right now: one activity at any time, so that they add up to its time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from shadowserve.statistics.spent import ACTIVITIES, IDLE


class Stopwatch:
    """Counts a lane's time by activity.

    Examples
    --------
    >>> watch = Stopwatch()
    >>> with watch.during("compare"):
    ...     pass
    >>> sorted(watch.take()) == sorted(ACTIVITIES)
    True
    """

    def __init__(self) -> None:
        self._spent = dict.fromkeys(ACTIVITIES, 0)
        self._activity = IDLE
        self._since_ns = time.monotonic_ns()
        self._idle_ns = 0
        self._asked_ns, self._idle_asked_ns = self._since_ns, 0

    def busy_share(self) -> float:
        """Return which share of the time since the last call was not idle."""
        self._to(self._activity)
        passed_ns = max(1, self._since_ns - self._asked_ns)
        idle_ns, self._idle_asked_ns = self._idle_ns - self._idle_asked_ns, self._idle_ns
        self._asked_ns = self._since_ns
        return 1 - idle_ns / passed_ns

    @contextmanager
    def during(self, activity: str) -> Iterator[None]:
        """Count the length of a block for an activity, but for what lies within of another."""
        before = self._to(activity)
        try:
            yield
        finally:
            self._to(before)

    def take(self) -> dict[str, int]:
        """Return nanoseconds by activity since the last time."""
        self._to(self._activity)
        spent, self._spent = self._spent, dict.fromkeys(ACTIVITIES, 0)
        return spent

    def _to(self, activity: str) -> str:
        now_ns, before = time.monotonic_ns(), self._activity
        self._spent[before] += now_ns - self._since_ns
        if before == IDLE:
            self._idle_ns += now_ns - self._since_ns
        self._activity, self._since_ns = activity, now_ns
        return before
