"""Lanes that share a core score one at a time, so that none is timed while another has its caches.

The control times in bursts while the challenger works on. On one core the two would share its caches,
and the version that works the less would look slower than it is: by 10 to 15 % where it was measured. Lanes
take the lock while `Places.crowded` is there: they may become more, or fewer, while they work.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE_S = 1.0
"""A hung lane holds the lock until it is ended: the others wait so long, and go on beside it."""

_LOOK_S = 0.001


class ScoringLock:
    """Held by the lane that scores; a second file is held by the one that is next.

    Parameters
    ----------
    places : tuple of Path
        Two files, the same for all lanes of a deployment. The kernel frees what a dead lane held.
    patience_s : float
        How long to wait at most.
    """

    def __init__(self, places: tuple[Path, Path], *, patience_s: float = PATIENCE_S) -> None:
        self._lock, self._next = (
            os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600) for path in places
        )
        self._patience_s = patience_s

    @contextmanager
    def held(self, meanwhile: Callable[[], None] = lambda: None) -> Iterator[bool]:
        """Wait for the lock and hold it; False where the wait was given up.

        Parameters
        ----------
        meanwhile : callable
            Done again and again during the wait: who holds the lock may ask for a turn.

        Whoever waits holds the second file, so that a lane with much to do, that lets go and
        asks again at once, comes after those that waited.
        """
        until = time.monotonic() + self._patience_s
        mine = False
        if _wait(self._next, until, meanwhile):
            mine = _wait(self._lock, until, meanwhile)
            fcntl.flock(self._next, fcntl.LOCK_UN)
        try:
            yield mine
        finally:
            if mine:
                fcntl.flock(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give everything back."""
        os.close(self._lock)
        os.close(self._next)


def _wait(descriptor: int, until: float, meanwhile: Callable[[], None]) -> bool:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            meanwhile()
            time.sleep(_LOOK_S)
        else:
            return True
