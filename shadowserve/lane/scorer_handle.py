"""One scorer of a lane: its process, the line to it, and what it has in hand."""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from shadowserve.host import clock
from shadowserve.host.pulse import Pulse
from shadowserve.lane import frames
from shadowserve.lane.ticket import Job
from shadowserve.state import inflight
from shadowserve.state.inflight import Mark

_log = logging.getLogger("shadowserve.lane")

MAX_BARREN = 5
"""So many ends in a row without progress, and a scorer is given up."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
LONG_LOAD_S = 120.0
"""A scorer that loads for longer is told of."""
READ_BYTES = 1 << 20
_NOT_OURS = (ValueError, LookupError, TypeError, AttributeError, struct.error)
"""What reading a frame raises that no scorer of ours would write; a model's code may write to any descriptor."""


class Process(Protocol):
    """What a scorer's process can be asked; `subprocess.Popen` is one."""

    pid: int

    def poll(self) -> int | None:
        """Return how it ended, None while it runs."""

    def kill(self) -> None:
        """End it now."""


@dataclass(slots=True)
class ScorerHandle:
    """A process that scores what it is handed, one batch after the other.

    Parameters
    ----------
    number : int
        From 1.
    mark : Path
        File of its in-flight mark.
    incarnation : str
        Of the lane's process: frames of another are not taken.

    Attributes
    ----------
    ready : bool
        Whether it has loaded.
    given_up : str or None
        Why it is started no more.
    cause : str or None
        Why the lane has ended it.
    spent_ns : int
        What scoring took, until somebody takes it away.
    """

    number: int
    mark: Path
    incarnation: str
    process: Process | None = None
    line: socket.socket | None = None
    jobs: deque[Job] = field(default_factory=deque)
    ready: bool = False
    given_up: str | None = None
    cause: str | None = None
    again_ns: int = 0
    spent_ns: int = 0
    _held: frames.Frames = field(default_factory=frames.Frames)
    _out: bytearray = field(default_factory=bytearray)
    _barren: int = 0
    _begun_ns: int = 0
    _pulse: Pulse = field(default_factory=Pulse)

    def why(self, now_ns: int) -> str | None:
        """Say why it does not work: it was given up, or loads for longer than loading takes."""
        if self.given_up or self.process is None or self.line is None or self.ready:
            return self.given_up
        waited_s = (now_ns - self._begun_ns) / 1e9
        if waited_s < LONG_LOAD_S:
            return None
        return (
            f"has been loading for {waited_s // 60:.0f} min; it may wait for a lock that the lane's own "
            "process holds"
        )

    @property
    def has_to_send(self) -> bool:
        """Whether it has not taken all that it was handed."""
        return bool(self._out)

    def begin(self, start: Callable[[int, socket.socket], Process]) -> None:
        """Start its process; where none can be made, that is tried again later."""
        own, theirs = socket.socketpair()
        try:
            with theirs:
                self.process = start(self.number, theirs)
        except OSError as error:  # no room for another process is no reason to end the lane
            own.close()
            self.pause(f"it cannot be started: {error.strerror}", n_in_hand=0)
            return
        own.setblocking(False)
        self.line, self._held, self._out = own, frames.Frames(), bytearray()
        self.ready, self.cause, self._begun_ns = False, None, time.monotonic_ns()

    def dismiss(self) -> None:
        """Let it end: it has nothing in hand, and is not needed any more."""
        if self.line is not None:
            self.line.close()
            self.line, self.ready = None, False

    def hand(self, job: Job) -> None:
        """Put a batch in line for it; it goes out with the next exchange."""
        told, bodies = frames.of_requests([typed.request for typed in job.batch])
        head = {"incarnation": self.incarnation, "number": job.number, "requests": told}
        self._out += frames.frame(head, bodies)
        self.jobs.append(job)

    def exchange(self) -> bool:
        """Write and read what can be, without waiting; False if it has died, or says what no scorer would."""
        if self.line is None or self.process is None:
            return True
        alive = self.process.poll() is None
        try:
            if self._out and alive:
                with contextlib.suppress(BlockingIOError):
                    del self._out[: self.line.send(self._out)]
            while read := self.line.recv(READ_BYTES):
                for head, rest in self._held.feed(read):
                    self._hear(head, rest)
        except BlockingIOError:
            return alive
        except (OSError, *_NOT_OURS):
            return False
        return False

    def _hear(self, head: dict[str, object], rest: bytes) -> None:
        if head["incarnation"] != self.incarnation:
            raise ValueError("a frame of another process")
        if "ready" in head:
            self.ready = True
        elif "refused" in head:
            self.given_up = f"it cannot load: {head['refused']}"
            _log.error("scorer %d cannot work: %s", self.number, head["refused"])
        else:
            job = self.jobs[0]
            if head["number"] != job.number:
                raise ValueError("an answer to another batch")
            seen = frames.observations_of(head["seen"], rest)  # type: ignore[arg-type]
            if len(seen) != len(job.batch):
                raise ValueError("an answer of another length")
            spent_ns = int(head["spent_ns"])  # type: ignore[call-overload]
            self.jobs.popleft()
            self._barren = 0
            self.spent_ns += spent_ns
            job.take(seen, spent_ns=spent_ns, by=self.number)

    def beyond(self, *, deadline_s: float, memory_bytes: int) -> str | None:
        """Return which limit it is beyond: it has had the same in hand for too long, or takes too much memory."""
        if self.process is None:
            return None
        mark = self.in_hand()
        still_s = self._pulse.still_s((mark.pid, mark.started_ns) if mark else None)
        if mark and min(still_s, mark.worked_ns() / 1e9) >= deadline_s:
            return "deadline"
        return "memory" if (clock.own_bytes(self.process.pid) or 0) > memory_bytes else None

    def in_hand(self) -> Mark | None:
        """Return what its process has in hand; None where it is idle, or an earlier process left the mark."""
        mark = inflight.read(self.mark)
        own = self.process is not None and mark.pid == self.process.pid
        return mark if own and mark.positions else None

    def end(self) -> tuple[int | None, Mark | None]:
        """End its process if it still runs; return how it ended, and what it had in hand."""
        process, line = self.process, self.line
        if process is None or line is None:
            return None, None
        if process.poll() is None:
            process.kill()
            while process.poll() is None:
                time.sleep(0.001)
        line.close()
        mark = self.in_hand()  # what it marks now it marks no more
        self.process = self.line = None
        self.ready = False
        return process.poll(), mark

    def pause(self, how: str, *, n_in_hand: int) -> None:
        """Wait before it is started again, the longer the more often it ended with nothing in hand."""
        _log.warning("scorer %d ended (%s), %d in hand", self.number, how, n_in_hand)
        self._barren = 0 if n_in_hand else self._barren + 1
        if self._barren >= MAX_BARREN:
            self.given_up = f"it ended {self._barren} times without progress, {how}"
        pause_s = 0.0 if n_in_hand else FIRST_PAUSE_S * 2 ** max(0, self._barren - 1)
        self.again_ns = time.monotonic_ns() + int(min(LONGEST_PAUSE_S, pause_s) * 1e9)
