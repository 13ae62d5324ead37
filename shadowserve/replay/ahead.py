"""Requests that are read and made ready ahead of need, by a thread, so that no reading holds up what is due."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator

from shadowserve.replay.connection import Sendable

MOST_BYTES = 64 * 2**20
MOST_REQUESTS = 200_000
ENOUGH = 0.5
"""Of what may lie ready: then what sends may begin."""


class Ahead:
    """Takes requests from an iterator as long as there is room.

    Parameters
    ----------
    source : iterable of Sendable
        In the order in which they are due; read by the thread alone.

    Attributes
    ----------
    finished : bool
        Whether the last one was taken away.
    failure : Exception or None
        What ended the reading before its time.
    """

    def __init__(self, source: Iterable[Sendable]) -> None:
        self._source: Iterator[Sendable] = iter(source)
        self._ready: deque[Sendable] = deque()
        self._bytes = 0
        self._over = self._left = False
        self._room = threading.Condition()
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._read, name="replay-ahead", daemon=True)
        self._thread.start()

    def fill(self) -> None:
        """Wait until enough lies ready, or all of it."""
        with self._room:
            self._room.wait_for(lambda: self._over or self._is_filled(ENOUGH))

    @property
    def finished(self) -> bool:
        """Whether nothing is left, and nothing will come."""
        return self._over and not self._ready

    def peek(self) -> Sendable | None:
        """Return the next one; None while none is ready."""
        return self._ready[0] if self._ready else None

    def pop(self) -> None:
        """Take the next one away."""
        with self._room:
            self._bytes -= len(self._ready.popleft().data)
            if not self._is_filled(ENOUGH):
                self._room.notify()

    def close(self) -> None:
        """Read no more."""
        with self._room:
            self._left = True
            self._ready.clear()
            self._room.notify()
        self._thread.join()

    def _is_filled(self, share: float) -> bool:
        return self._bytes > share * MOST_BYTES or len(self._ready) > share * MOST_REQUESTS

    def _read(self) -> None:
        try:
            for one in self._source:
                with self._room:
                    self._room.wait_for(lambda: self._left or not self._is_filled(1.0))
                    if self._left:
                        return
                    self._ready.append(one)
                    self._bytes += len(one.data)
                    if self._is_filled(ENOUGH):
                        self._room.notify()
        except Exception as error:  # told by whoever sends, once what lay ready is sent
            self.failure = error
        finally:
            with self._room:
                self._over = True
                self._room.notify()
