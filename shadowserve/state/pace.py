"""How wide the lanes' windows are while MLflow asks for fewer calls.

A tracking server that answers 429 is asked less: lanes close wider windows, so that a call stands for
more requests, and traces stay away. Told by the evidence writer in a small file, read by the lanes.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from shadowserve.state.files import write_whole

WIDEST = 16
EASE_S = 300.0


def factor(path: Path) -> int:
    """Return how many times wider than usual windows are, from 1 to `WIDEST`; 1 if nothing is told."""
    try:
        return min(WIDEST, max(1, int(path.read_text())))
    except (OSError, ValueError):
        return 1


class Pace:
    """The writing side: doubled at each refusal, halved after each while without one.

    Parameters
    ----------
    path : Path
        The file; what an earlier process told goes on until MLflow has been heard.
    clock : callable
        Monotonic seconds.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self.factor = factor(path)
        self._changed = clock()

    @property
    def slowed(self) -> bool:
        """Whether MLflow has asked for fewer calls and not been well for long enough since."""
        return self.factor > 1

    def refused(self) -> None:
        """MLflow has asked for fewer calls."""
        self._set(min(WIDEST, self.factor * 2))

    def taken(self) -> None:
        """MLflow has taken everything."""
        if self.slowed and self._clock() - self._changed >= EASE_S:
            self._set(self.factor // 2)

    def _set(self, wanted: int) -> None:
        self._changed = self._clock()
        self.factor = wanted
        with contextlib.suppress(OSError):  # a full disk; the next refusal tells it again
            if wanted > 1:
                write_whole(self._path, str(wanted))
            else:
                self._path.unlink(missing_ok=True)
