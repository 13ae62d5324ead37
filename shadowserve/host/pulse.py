"""A pulse: for how many seconds of watching a value has stood still.

The looker may have been stopped itself: with its machine, its container, or by a debugger. What passed
meanwhile says nothing of what it looks at, so no more than a moment is counted between two looks.
"""

from __future__ import annotations

import time
from collections.abc import Callable

MOMENT_S = 1.0
"""Seconds that count at most between two looks. Supervisors look more often while they run at all."""


class Pulse:
    """Follows one value that changes as long as its process does its work.

    Parameters
    ----------
    clock : callable
        Monotonic seconds.
    moment_s : float
        The most that counts between two looks. A stop of an hour is then a second of stillness,
        whoever was stopped.

    Examples
    --------
    >>> now = iter([0.0, 0.5, 1.0, 90.0, 90.5])
    >>> pulse = Pulse(clock=lambda: next(now))
    >>> [pulse.still_s(beat) for beat in (1, 1, 2, 2, 2)]
    [0.0, 0.5, 0.0, 1.0, 1.5]
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, moment_s: float = MOMENT_S
    ) -> None:
        self._clock = clock
        self._moment_s = moment_s
        self._looked = 0.0
        self._beat: object = None
        self._still_s = 0.0

    def still_s(self, beat: object) -> float:
        """Look at the value, and return for how many seconds of looking it has been the same."""
        now = self._clock()
        since, self._looked = now - self._looked, now
        if beat != self._beat:
            self._beat, self._still_s = beat, 0.0
        else:
            # A looker that was stopped itself learns nothing of that time.
            self._still_s += min(since, self._moment_s)
        return self._still_s
