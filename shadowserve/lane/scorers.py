"""A lane's scorers: further processes of its version, which score batches while the lane does the rest.

The lane's own process reads, types, times what is scored alone, compares, learns and commits; so what a lane
knows stays in one process and in order. It hands out batches as they were cut for one process, and takes the
answers in that order, whoever was first. What nobody has begun when it comes to it, it scores itself.

A scorer that dies costs the requests in its hands one try: each is scored once more, by itself, by a scorer;
its second death is its outcome. Deadline and memory are looked at whenever the lane waits or hands out.
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from shadowserve.ending import ending
from shadowserve.host import clock
from shadowserve.host.pulse import Pulse
from shadowserve.lane import frames
from shadowserve.lane.deaths import FATAL, Deaths
from shadowserve.lane.observing import Typed
from shadowserve.lane.staffing import Staffing
from shadowserve.records import Observation
from shadowserve.state import inflight
from shadowserve.state.death import Death

_log = logging.getLogger("shadowserve.lane")

AHEAD = 16
"""Blocks that are read ahead of the oldest that is not taken in."""
IN_HAND = 2
"""Batches that a scorer has at most: one that it scores, one that waits for it."""
MAX_BARREN = 5
MAX_SAME = 5
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
LOOK_NS = 50 * 10**6
LONG_LOAD_S = 120.0
"""A scorer that loads for longer is told of."""
READ_BYTES = 1 << 20
WAIT_S = 0.02
END_S = 1.0
_FROM_OUTSIDE = (-9, -15, -2, -1)
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
class Ticket:
    """A batch that was handed out.

    Attributes
    ----------
    seen : mapping of position to Observation
    fatal : set of position
        Requests whose scorers have died twice.
    by : mapping of position to int
        Number of the scorer that scored it; what the lane's own process scored is not in it.
    spent_ns : int
        What scoring took.
    """

    left: int
    by: dict[int, int] = field(default_factory=dict)
    seen: dict[int, Observation] = field(default_factory=dict)
    fatal: set[int] = field(default_factory=set)
    spent_ns: int = 0


@dataclass(slots=True)
class _Job:
    number: int
    ticket: Ticket
    batch: Sequence[Typed]
    blamed: bool = False


@dataclass(slots=True)
class _Scorer:
    number: int
    mark: Path
    process: Process | None = None
    line: socket.socket | None = None
    held: frames.Frames = field(default_factory=frames.Frames)
    out: bytearray = field(default_factory=bytearray)
    jobs: deque[_Job] = field(default_factory=deque)
    ready: bool = False
    given_up: str | None = None
    cause: str | None = None
    barren: int = 0
    again_ns: int = 0
    begun_ns: int = 0
    pulse: Pulse = field(default_factory=Pulse)

    def why(self, now_ns: int) -> str | None:
        """Say why it does not work: it was given up, or loads for longer than loading takes."""
        if self.given_up or self.process is None or self.line is None or self.ready:
            return self.given_up
        waited_s = (now_ns - self.begun_ns) / 1e9
        if waited_s < LONG_LOAD_S:
            return None
        return (
            f"has been loading for {waited_s // 60:.0f} min; it may wait for a lock that the lane's own "
            "process holds"
        )


class Scorers:
    """The scorers of one lane.

    Parameters
    ----------
    n : int
        How many.
    start : callable
        Given a number and a socket, starts a scorer that answers there.
    mark : callable
        Given a number, the file of the scorer's in-flight mark.
    deaths : Deaths
        Where the lane counts them.
    incarnation : str
        Of the lane's process: frames of another are not taken.
    deadline_s : float
        How long a request may be in hand, less starvation.
    memory_bytes : int
        Memory of its own beyond which a scorer is ended.
    staffing : Staffing, optional
        Decides how many of them work; by default all do.
    """

    def __init__(
        self,
        n: int,
        *,
        start: Callable[[int, socket.socket], Process],
        mark: Callable[[int], Path],
        deaths: Deaths,
        incarnation: str,
        deadline_s: float,
        memory_bytes: int,
        staffing: Staffing | None = None,
    ) -> None:
        self._start = start
        self._deaths = deaths
        self._incarnation = incarnation
        self._deadline_s = deadline_s
        self._memory_bytes = memory_bytes
        self._scorers = [_Scorer(k, mark(k)) for k in range(1, n + 1)]
        self._staffing = staffing
        self._wanted = n if staffing is None else 0
        self._spent_ns = 0
        self._waiting: deque[_Job] = deque()
        self._numbers = 0
        self._silent = False
        self._looked_ns = 0
        self._outside: dict[int, int] = {}

    @property
    def remark(self) -> str | None:
        """What somebody should know of how many work, as a clause."""
        now_ns = time.monotonic_ns()
        told = [f"scorer {one.number}: {why}" for one in self._scorers if (why := one.why(now_ns))]
        if not told:
            return None if self._staffing is None else self._staffing.remark
        return f"{self.at_work} of {1 + len(self._scorers)} processes score ({'; '.join(told)})"

    @property
    def any_at_work(self) -> bool:
        """Whether there is a scorer, or will be."""
        return any(one.given_up is None for one in self._scorers[: self._wanted])

    @property
    def at_work(self) -> int:
        """How many processes score, the lane's own among them, those that are loading too."""
        return 1 + sum(one.given_up is None for one in self._scorers[: self._wanted])

    @property
    def most(self) -> int:
        """How many processes may score, the lane's own among them."""
        return 1 + len(self._scorers)

    def staff(self, *, lag_s: float, own_busy: float, passed_ns: int) -> None:
        """Take another process where traffic needs it, or give one back.

        Parameters
        ----------
        lag_s : float
            Age of the oldest request that the lane has not read.
        own_busy : float
            Share of its time that the lane's own process was busy lately.
        passed_ns : int
            Since the last time.
        """
        spent_ns, self._spent_ns = self._spent_ns, 0
        if self._staffing is None:
            return
        busy = own_busy + spent_ns / max(1, passed_ns)
        wanted = self._staffing.look(lag_s=lag_s, busy=busy, now_s=time.monotonic())
        self._wanted = wanted - 1

    def submit(self, batch: Sequence[Typed]) -> Ticket:
        """Hand out a batch."""
        ticket = Ticket(len(batch))
        self._waiting.append(self._job(ticket, batch))
        self.turn()
        return ticket

    def collect(
        self,
        ticket: Ticket,
        *,
        score: Callable[[Sequence[Typed]], Sequence[Observation]],
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        """Wait until a batch was scored.

        Parameters
        ----------
        score : callable
            Scores here what no scorer has begun.
        meanwhile : callable
            Done again and again during the wait.
        """
        while ticket.left:
            self.turn()
            own = next((job for job in self._waiting if job.ticket is ticket), None)
            if own is not None and (not own.blamed or not self.any_at_work):
                self._waiting.remove(own)
                began_ns = time.monotonic_ns()
                seen = score(own.batch)
                ticket.spent_ns += time.monotonic_ns() - began_ns
                _take(own, seen)
            elif ticket.left:
                self._wait(WAIT_S)
                meanwhile()

    def elsewhere(self, typed: Typed, *, by: int) -> Observation | None:
        """Score a request by itself in another process than the first time.

        Parameters
        ----------
        by : int
            Which scorer had it the first time, 0 for the lane's own process.

        Returns
        -------
        Observation or None
            None where the lane's own process is that other one, where no scorer can do it now, or where
            two did not survive it.
        """
        if by or self._silent or not any(one.ready for one in self._scorers):
            return None
        ticket = Ticket(1)
        self._waiting.appendleft(self._job(ticket, [typed], blamed=True))
        # One that has to load first is not waited for.
        while ticket.left and any(one.ready for one in self._scorers):
            self.turn()
            if ticket.left:
                self._wait(WAIT_S)
        self._waiting = deque(job for job in self._waiting if job.ticket is not ticket)
        return ticket.seen.get(typed.request.position)

    @contextlib.contextmanager
    def silence(self, meanwhile: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Let no scorer work for the length of a block: what is timed there is paired."""
        self._silent = True
        try:
            while any(one.jobs for one in self._scorers):
                self.turn()
                self._wait(WAIT_S)
                meanwhile()
            yield
        finally:
            self._silent = False

    def rest(self, resting: bool) -> None:
        """Hand out nothing more for now, or go on; what is in hand ends by itself."""
        self._silent = resting
        self.turn()

    def turn(self) -> None:
        """Start who is to start, hand out what waits, take what has come; without waiting."""
        now_ns = time.monotonic_ns()
        look = now_ns - self._looked_ns >= LOOK_NS
        if look:
            self._looked_ns = now_ns
        for one in self._scorers:
            wanted = one.number <= self._wanted
            if one.process is not None and one.line is None and one.process.poll() is not None:
                one.process = None  # it was dismissed, and has ended
            if one.process is None:
                if wanted and one.given_up is None and now_ns >= one.again_ns:
                    self._begin(one)
                continue
            if not wanted and not one.jobs:
                self._dismiss(one)
                continue
            self._exchange(one)
            if look and one.process is not None:
                self._enforce(one)
        while self._waiting and not self._silent:
            free = [
                one
                for one in self._scorers[: self._wanted]
                if one.ready and len(one.jobs) < IN_HAND
            ]
            if not free:
                return
            self._hand(min(free, key=lambda one: len(one.jobs)), self._waiting.popleft())

    def close(self) -> None:
        """End all scorers."""
        for one in self._scorers:
            if one.line is not None:
                one.line.close()
        until = time.monotonic() + END_S
        for one in self._scorers:
            if one.process is None:
                continue
            while one.process.poll() is None and time.monotonic() < until:
                time.sleep(0.005)
            if one.process.poll() is None:
                one.process.kill()
                one.process.poll()

    def _job(self, ticket: Ticket, batch: Sequence[Typed], *, blamed: bool = False) -> _Job:
        self._numbers += 1
        return _Job(self._numbers, ticket, batch, blamed)

    def _begin(self, one: _Scorer) -> None:
        own, theirs = socket.socketpair()
        try:
            with theirs:
                one.process = self._start(one.number, theirs)
        except OSError as error:  # no room for another process is no reason to end the lane
            own.close()
            self._pause(one, set(), f"it cannot be started: {error.strerror}")
            return
        own.setblocking(False)
        one.line, one.held, one.out = own, frames.Frames(), bytearray()
        one.ready, one.cause, one.begun_ns = False, None, time.monotonic_ns()

    def _dismiss(self, one: _Scorer) -> None:
        """Let a scorer end that has nothing in hand and is not needed any more."""
        if one.line is not None:
            one.line.close()
            one.line, one.ready = None, False

    def _hand(self, one: _Scorer, job: _Job) -> None:
        told, bodies = frames.of_requests([typed.request for typed in job.batch])
        head = {"incarnation": self._incarnation, "number": job.number, "requests": told}
        one.out += frames.frame(head, bodies)
        one.jobs.append(job)
        self._exchange(one)

    def _exchange(self, one: _Scorer) -> None:
        """Write and read what can be, without waiting; deal with a death."""
        if one.line is None or one.process is None:
            return
        alive = one.process.poll() is None
        try:
            if one.out and alive:
                with contextlib.suppress(BlockingIOError):
                    del one.out[: one.line.send(one.out)]
            while True:
                read = one.line.recv(READ_BYTES)
                if not read:
                    alive = False
                    break
                for head, rest in one.held.feed(read):
                    self._hear(one, head, rest)
        except BlockingIOError:
            pass
        except (OSError, *_NOT_OURS):
            alive = False
        if not alive:
            self._bury(one)

    def _hear(self, one: _Scorer, head: dict[str, object], rest: bytes) -> None:
        if head["incarnation"] != self._incarnation:
            raise ValueError("a frame of another process")
        if "ready" in head:
            one.ready = True
        elif "refused" in head:
            one.given_up = f"it cannot load: {head['refused']}"
            _log.error("scorer %d cannot work: %s", one.number, head["refused"])
        else:
            job = one.jobs[0]
            if head["number"] != job.number:
                raise ValueError("an answer to another batch")
            seen = frames.observations_of(head["seen"], rest)  # type: ignore[arg-type]
            if len(seen) != len(job.batch):
                raise ValueError("an answer of another length")
            one.jobs.popleft()
            one.barren = 0
            spent_ns = int(head["spent_ns"])  # type: ignore[call-overload]
            job.ticket.spent_ns += spent_ns
            self._spent_ns += spent_ns
            _take(job, seen)
            job.ticket.by |= {typed.request.position: one.number for typed in job.batch}

    def _enforce(self, one: _Scorer) -> None:
        """End a scorer that has had the same in hand past the deadline, or takes too much memory."""
        process = one.process
        if process is None:
            return
        mark = inflight.read(one.mark)
        in_hand = mark.pid == process.pid and bool(mark.positions)
        seen_s = one.pulse.still_s((mark.pid, mark.started_ns) if in_hand else None)
        if in_hand and min(seen_s, mark.worked_ns() / 1e9) >= self._deadline_s:
            one.cause = "deadline"
        elif (clock.own_bytes(process.pid) or 0) > self._memory_bytes:
            one.cause = "memory"
        else:
            return
        process.kill()
        while process.poll() is None:
            time.sleep(0.001)
        self._bury(one)

    def _bury(self, one: _Scorer) -> None:
        """Count a death against what was in hand, and hand it out again."""
        process, line = one.process, one.line
        if process is None or line is None:
            return
        if process.poll() is None:  # it closed its end, or answers what nobody asked
            process.kill()
            while process.poll() is None:
                time.sleep(0.001)
        line.close()
        mark = inflight.read(one.mark)
        in_hand = set(mark.positions) if mark.pid == process.pid else set()
        code = process.poll()
        one.process = one.line = None
        one.ready = False
        cause = one.cause or ("outside" if code in _FROM_OUTSIDE else "crash")
        if in_hand and cause == "outside":
            cause = self._or_its_own(min(in_hand))
        lost, one.jobs = one.jobs, deque()
        if one.given_up is None:
            self._pause(one, in_hand, ending(code))
        if in_hand and cause != "outside":
            self._deaths.count(
                Death(
                    id=f"{mark.pid}-{mark.started_ns}",
                    positions=tuple(in_hand),
                    cause=cause,
                    step=mark.step,
                    worked_ms=mark.worked_ns() / 1e6,
                )
            )
        for job in reversed(lost):
            self._again(job, in_hand if cause != "outside" else set())

    def _or_its_own(self, first: int) -> str:
        """Doubt that deaths come from outside which come with the same request in hand every time."""
        self._outside[first] = self._outside.get(first, 0) + 1
        return "crash" if self._outside[first] % MAX_SAME == 0 else "outside"

    def _pause(self, one: _Scorer, in_hand: set[int], how: str) -> None:
        _log.warning("scorer %d ended (%s), %d in hand", one.number, how, len(in_hand))
        one.barren = 0 if in_hand else one.barren + 1
        if one.barren >= MAX_BARREN:
            one.given_up = f"it ended {one.barren} times without progress, {how}"
        pause_s = 0.0 if in_hand else FIRST_PAUSE_S * 2 ** max(0, one.barren - 1)
        one.again_ns = time.monotonic_ns() + int(min(LONGEST_PAUSE_S, pause_s) * 1e9)

    def _again(self, job: _Job, blamed: set[int]) -> None:
        """Hand out again what a dead scorer had: the blamed each by itself, unless that was its second."""
        rest = [typed for typed in job.batch if typed.request.position not in blamed]
        if rest:
            self._waiting.appendleft(self._job(job.ticket, rest))
        for typed in job.batch:
            place = typed.request.position
            if place not in blamed:
                continue
            if self._deaths.of(place) >= FATAL:
                job.ticket.fatal.add(place)
                job.ticket.left -= 1
            else:
                self._waiting.appendleft(self._job(job.ticket, [typed], blamed=True))

    def _wait(self, seconds: float) -> None:
        """Wait until a scorer says something, or dies."""
        lines = [one.line for one in self._scorers if one.line is not None]
        if lines:
            select.select(lines, [one for one in lines if self._has_to_send(one)], [], seconds)
        else:
            time.sleep(seconds)

    def _has_to_send(self, line: socket.socket) -> bool:
        return any(one.line is line and one.out for one in self._scorers)


def _take(job: _Job, seen: Sequence[Observation]) -> None:
    for typed, observation in zip(job.batch, seen, strict=True):
        job.ticket.seen[typed.request.position] = observation
    job.ticket.left -= len(job.batch)
