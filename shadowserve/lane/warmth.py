"""Whether a lane runs warm: only so are the times of two processes alike.

A process that waited, or wrote down what it learnt, finds other things in its caches. At 30 requests
a second a version of 2 ms looks 17 % slower than itself, if one lane scores them as they come and the
other back to back. So what is paired comes right after other calls. Where none came, because traffic
is slow, the request before is scored again first, and its second answer is dropped.
"""

from __future__ import annotations

from shadowserve.comparison.bursts import BURST_WARMUP
from shadowserve.lane.observing import Observer, Typed
from shadowserve.records import Observation
from shadowserve.state.inflight import InFlight

CALLS = BURST_WARMUP
"""Calls in a row that make a lane warm."""

SLOW_NS = 25 * 10**6
"""A call that works so long fills its caches itself: what they held before is a per cent of it."""


class Warmth:
    """Counts a lane's calls in a row.

    Parameters
    ----------
    observer, inflight
        The lane's own.
    repeat : bool
        Whether a request may be scored again; False for versions whose calls have side effects.
    """

    def __init__(self, observer: Observer, inflight: InFlight, *, repeat: bool) -> None:
        self._observer = observer
        self._inflight = inflight
        self._repeat = repeat
        self._calls = 0
        self._last: Typed | None = None
        self._last_ns = 0

    def cool(self) -> None:
        """Say that the lane did, or will do, something else than scoring."""
        self._calls = 0

    def scored(self, typed: Typed, seen: Observation) -> None:
        """Say that a request was scored by itself."""
        self._calls += 1
        times = seen.times
        self._last = None if times is None else typed
        self._last_ns = 0 if times is None else times.work_ns

    def reach(self) -> bool:
        """Make the lane warm if that costs little; tell whether it is."""
        if self._last is None:
            return self._calls >= CALLS
        if self._last_ns >= SLOW_NS:
            return True
        while self._repeat and self._calls < CALLS:
            self._inflight.mark([self._last.request.position])
            self._observer.alone(self._last)
            self._calls += 1
        return self._calls >= CALLS
