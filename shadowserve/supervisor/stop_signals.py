"""The signals that ask a supervisor to stop: counted, since a second one cuts short what waits."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType


class StopSignals:
    """Counts SIGTERM, SIGINT and SIGHUP.

    Attributes
    ----------
    n : int
        How many have come.
    """

    def __init__(self) -> None:
        self.n = 0
        self._ends_at_once = False

    def heed(self) -> None:
        """Count from now on, in place of ending the process."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    @contextlib.contextmanager
    def ending_at_once(self) -> Iterator[None]:
        """Let a signal cut short what may wait long for somebody else, with exit code 0."""
        self._ends_at_once = True
        try:
            if self.n:
                raise SystemExit(0)
            yield
        finally:
            self._ends_at_once = False

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.n += 1
        if self._ends_at_once:
            raise SystemExit(0)
