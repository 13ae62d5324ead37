"""A lane's scorers: further processes of its version, which score batches while the lane does the rest.

The lane's own process reads, types, times what is scored alone, compares, learns and commits; so what a lane
knows stays in one process and in order. It hands out batches as they were cut for one process, and takes the
answers in that order, whoever was first. What nobody has begun when it comes to it, it scores itself; and while it
waits for a scorer, it scores what waits for one.

A scorer that dies costs the requests in its hands one try: each is scored once more, by itself, by a scorer;
its second death is its outcome. Of a request that was scored before, one death is enough to let it be.
Deadline and memory are looked at whenever the lane waits or hands out.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from shadowserve.ending import ending
from shadowserve.lane.deaths import FATAL, Deaths
from shadowserve.lane.observing import Typed
from shadowserve.lane.scorer_handle import Process, ScorerHandle
from shadowserve.lane.staffing import Staffing
from shadowserve.lane.ticket import Job, Ticket
from shadowserve.records import Fault, Observation
from shadowserve.state.death import Death

AHEAD = 16
"""Blocks that are read ahead of the oldest that is not taken in."""
IN_HAND = 2
"""Batches that a scorer has at most: one that it scores, one that waits for it."""
MAX_SAME = 5
"""So many deaths from outside with one request in hand, and they are the request's."""
LOOK_NS = 50 * 10**6
WAIT_S = 0.02
END_S = 1.0
NOT_SURVIVED = Observation(fault=Fault("ScorerDied", None, "", ""))
"""A second scoring that a scorer died of."""
_FROM_OUTSIDE = (-9, -15, -2, -1)


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
        self._deadline_s = deadline_s
        self._memory_bytes = memory_bytes
        self._scorers = [ScorerHandle(k, mark(k), incarnation) for k in range(1, n + 1)]
        self._staffing = staffing
        self._wanted = n if staffing is None else 0
        self._waiting: deque[Job] = deque()
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
        spent_ns = 0
        for one in self._scorers:
            spent_ns, one.spent_ns = spent_ns + one.spent_ns, 0
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
            Scores here what no scorer has begun, and meanwhile what waits for one.
        meanwhile : callable
            Done again and again during the wait.
        """
        while ticket.left:
            self.turn()
            own = next((job for job in self._waiting if job.ticket is ticket), None)
            if own is not None and own.blamed and self.any_at_work:
                own = None
            elif own is None and ticket.left:
                own = self._beyond_their_hands()
            if own is not None:
                self._waiting.remove(own)
                began_ns = time.monotonic_ns()
                seen = score(own.batch)
                own.take(seen, spent_ns=time.monotonic_ns() - began_ns)
            elif ticket.left:
                self._wait(WAIT_S)
                meanwhile()

    def _beyond_their_hands(self) -> Job | None:
        """Return the next batch that waits while every scorer has its hands full: the lane need not wait with it."""
        if self._silent or not any(one.ready for one in self._scorers):
            return None
        return next((job for job in self._waiting if not job.blamed), None)

    def elsewhere(self, typed: Typed, *, by: int) -> Observation | None:
        """Score a request by itself in another process than the first time.

        Parameters
        ----------
        by : int
            Which scorer had it the first time, 0 for the lane's own process.

        Returns
        -------
        Observation or None
            None where the lane's own process is that other one, or where no scorer can do it now; with a
            fault where one did not survive it: the lane's own process is not to try.
        """
        if by or self._silent or not any(one.ready for one in self._scorers):
            return None
        ticket = Ticket(1)
        self._waiting.appendleft(self._job(ticket, [typed], blamed=True, second=True))
        # One that has to load first is not waited for.
        while ticket.left and any(one.ready for one in self._scorers):
            self.turn()
            if ticket.left:
                self._wait(WAIT_S)
        self._waiting = deque(job for job in self._waiting if job.ticket is not ticket)
        position = typed.request.position
        return NOT_SURVIVED if position in ticket.fatal else ticket.seen.get(position)

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
                    one.begin(self._start)
                continue
            if not wanted and not one.jobs:
                one.dismiss()
                continue
            self._exchange(one)
            if look:
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

    def _job(
        self, ticket: Ticket, batch: Sequence[Typed], *, blamed: bool = False, second: bool = False
    ) -> Job:
        self._numbers += 1
        return Job(self._numbers, ticket, batch, blamed, second)

    def _hand(self, one: ScorerHandle, job: Job) -> None:
        one.hand(job)
        self._exchange(one)

    def _exchange(self, one: ScorerHandle) -> None:
        if not one.exchange():
            self._bury(one)

    def _enforce(self, one: ScorerHandle) -> None:
        """End a scorer that is beyond its deadline or its memory."""
        cause = one.beyond(deadline_s=self._deadline_s, memory_bytes=self._memory_bytes)
        if cause is not None:
            one.cause = cause
            self._bury(one)

    def _bury(self, one: ScorerHandle) -> None:
        """Count a death against what was in hand, and hand it out again."""
        code, mark = one.end()
        if code is None:
            return
        in_hand = set(mark.positions) if mark else set()
        cause = one.cause or ("outside" if code in _FROM_OUTSIDE else "crash")
        if in_hand and cause == "outside":
            cause = self._or_its_own(min(in_hand))
        lost, one.jobs = one.jobs, deque()
        if one.given_up is None:
            one.pause(ending(code), n_in_hand=len(in_hand))
        blamed = in_hand if cause != "outside" else set()
        if blamed and mark and not (lost and lost[0].second):
            self._deaths.count(
                Death(
                    id=f"{mark.pid}-{mark.started_ns}",
                    positions=tuple(blamed),
                    cause=cause,
                    step=mark.step,
                    worked_ms=mark.worked_ns() / 1e6,
                )
            )
        for job in reversed(lost):
            self._again(job, blamed)

    def _or_its_own(self, first: int) -> str:
        """Doubt that deaths come from outside which come with the same request in hand every time."""
        self._outside[first] = self._outside.get(first, 0) + 1
        return "crash" if self._outside[first] % MAX_SAME == 0 else "outside"

    def _again(self, job: Job, blamed: set[int]) -> None:
        """Hand out again what a dead scorer had: the blamed each by itself, unless that was its last try."""
        rest = [typed for typed in job.batch if typed.request.position not in blamed]
        if rest:
            again = self._job(job.ticket, rest, blamed=job.blamed, second=job.second)
            self._waiting.appendleft(again)
        for typed in job.batch:
            place = typed.request.position
            if place not in blamed:
                continue
            if job.second or self._deaths.of(place) >= FATAL:
                job.ticket.fatal.add(place)
                job.ticket.left -= 1
            else:
                self._waiting.appendleft(self._job(job.ticket, [typed], blamed=True))

    def _wait(self, seconds: float) -> None:
        """Wait until a scorer says something, or dies."""
        lines = {one.line: one.has_to_send for one in self._scorers if one.line is not None}
        if lines:
            select.select([*lines], [line for line, sends in lines.items() if sends], [], seconds)
        else:
            time.sleep(seconds)
