"""What a lane has in hand at this instant, in a mapped file that its own death cannot lose.

The lane marks positions before it scores them and clears the mark after. The supervisor reads the
mark to enforce the deadline, also on code that holds the interpreter, and the lane's next process
reads it to learn what was in hand when the last one died.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shadowserve.host.clock import Starvation, run_delay_ns
from shadowserve.state.files import bytes_of, mapped

MAX_IN_HAND = 512
MAX_READINGS = 5
GAVE_UP = 17
"""Exit code of a lane that has said itself why it cannot go on."""
NO_ROOM = 75
"""Exit code of a lane whose state file could not be written; sysexits.h calls it a passing failure."""
TOO_LARGE = 76
"""Exit code of a lane whose isolated version took more memory than it may."""
TYPING = -2
"""The step while a request is typed."""
_HEAD = struct.Struct("<6q")
_WORD = struct.Struct("<q")
_DELAY, _STARTED = 2 * 8, 5 * 8
_STEP_WORD = 4
_SIZE = _HEAD.size + 8 * MAX_IN_HAND


@dataclass(frozen=True, slots=True)
class Mark:
    """One reading of the in-flight mark.

    Parameters
    ----------
    pid, tid : int
        The scoring process and thread.
    started_ns : int
        Monotonic time at which the positions were taken in hand; 0 when idle.
    run_delay_ns : int
        The thread's run delay at that time, so that starvation since then can be taken out.
    positions : tuple of int
        What is in hand; empty when idle.
    step : int
        Index of the plan's step that is running, -1 between steps, `TYPING` before them.
    """

    pid: int
    tid: int
    started_ns: int
    run_delay_ns: int
    positions: tuple[int, ...]
    step: int = -1

    def worked_ns(self) -> int:
        """Return the time since the start, less what the thread spent runnable but not running."""
        delay = run_delay_ns(self.pid, self.tid)
        # Where the kernel does not tell, all of the time counts as worked.
        starved = 0 if delay is None else max(0, delay - self.run_delay_ns)
        return max(0, time.monotonic_ns() - self.started_ns - starved)


class InFlight:
    """The writing side: one lane process. `step` is the cell of the running step's index."""

    def __init__(self, path: Path) -> None:
        self._map = mapped(path, _SIZE)
        self.step = memoryview(self._map).cast("q")[_STEP_WORD : _STEP_WORD + 1]
        self._pid = os.getpid()
        self._tid = threading.get_native_id()
        self._starvation = Starvation()  # of this thread: mark and score on one
        self._delay_ns = 0

    def mark(self, positions: Sequence[int], *, step: int = -1) -> None:
        """Say which positions are about to be typed or scored, at most `MAX_IN_HAND`.

        The time comes last and goes first: without it, nothing counts as in hand.
        """
        _WORD.pack_into(self._map, _STARTED, 0)
        struct.pack_into(f"<{len(positions)}q", self._map, _HEAD.size, *positions)
        delay = self._delay_ns = self._starvation.delay_ns() or 0
        _HEAD.pack_into(self._map, 0, self._pid, self._tid, delay, len(positions), step, 0)
        # Only now is it in hand: the deadline counts from what is complete.
        _WORD.pack_into(self._map, _STARTED, time.monotonic_ns())

    def starve(self, elsewhere_ns: int) -> None:
        """Say for how long the thread of another process, which scores what is in hand, waited for a CPU."""
        _WORD.pack_into(self._map, _DELAY, self._delay_ns - elsewhere_ns)

    def clear(self) -> None:
        """Say that nothing is in hand."""
        _WORD.pack_into(self._map, _STARTED, 0)
        _HEAD.pack_into(self._map, 0, self._pid, self._tid, 0, 0, -1, 0)

    def close(self) -> None:
        """Unmap the file."""
        self.step.release()
        self._map.close()
        self._starvation.close()


def read(path: Path) -> Mark:
    """Read a lane's mark; idle if there is none, or if it is being written right now.

    The lane writes while others read: only what two readings agree on is believed.
    """
    raw = bytes_of(path)
    for _ in range(MAX_READINGS):
        if raw == (again := bytes_of(path)):
            break
        raw = again
    else:  # it changes at every look, so nothing is in hand for long
        raw = b""
    return _mark_of(raw)


def _mark_of(raw: bytes) -> Mark:
    if len(raw) < _SIZE:
        return Mark(pid=0, tid=0, started_ns=0, run_delay_ns=0, positions=())
    pid, tid, delay, count, step, started = _HEAD.unpack_from(raw)
    # A mark that was torn by a kill counts as idle, and not as a request too many.
    count = count if started and 0 <= count <= MAX_IN_HAND else 0
    positions = struct.unpack_from(f"<{count}q", raw, _HEAD.size)
    return Mark(
        pid=pid, tid=tid, started_ns=started, run_delay_ns=delay, positions=positions, step=step
    )
