"""Turns: challenger and control score the same request one after the other, on one core.

A process in a slow spell looks like a slow version, and no statistics tell the two apart. Where both
score a request within the same milliseconds, on the same core, what slows the place slows both. So
the challenger asks the control to each request of a burst. A coin says who goes first.

Nobody waits for long. A control that does not come costs the challenger one pair and `PATIENCE_S`, and it
does not ask again within that burst, nor at each of the next. What the control scored in a turn it keeps, so
that it need not score it again when it comes to that request itself.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import nan
from pathlib import Path

import numpy as np

from shadowserve.comparison.bursts import ControlTime, burst_of
from shadowserve.errors import UnreadableError
from shadowserve.journal import reader
from shadowserve.lane.line import Line, Message, Word, poll
from shadowserve.lane.observing import Observer, Typed
from shadowserve.lane.stopwatch import Stopwatch
from shadowserve.lane.warmth import Warmth
from shadowserve.records import Observation, Request, worker_of
from shadowserve.state.inflight import InFlight
from shadowserve.statistics.spent import ALONE
from shadowserve.statistics.tally.samples import hash_positions

PATIENCE_S = 1.0
"""For an answer to the question whether the control comes."""

WORK_S = 5.0
"""For the other's turn; a request that takes longer is no pair."""

FIRST_PATIENCE_S = 20.0
"""Once, while the control is loading: both start together, and the first bursts count too."""

MOST_PASSED = 3
"""Bursts that are passed over at most, after the control did not come to several in a row."""

ATTENTIVE_S = 0.003
"""The control waits so long for the next question of a burst before it goes back to its own work."""

MOST_KEPT = 64
_THREADS = "OMP_NUM_THREADS"


class Asking:
    """The challenger's side.

    Parameters
    ----------
    line : Line
        To the control.
    is_loading : callable
        Whether the control has yet to begin.
    leave : callable
        Whether to stop waiting, since the lane is to end or to hurry.
    """

    def __init__(
        self, line: Line, *, is_loading: Callable[[], bool], leave: Callable[[], bool]
    ) -> None:
        self._line = line
        self._is_loading = is_loading
        self._leave = leave
        self._patient = True
        self._missed = 0
        self._pass_over = 0
        self._burst: tuple[int, int] | None = None
        self._asks = True
        self._heard: deque[Message] = deque()
        line.read()  # what is left of an earlier process

    def turn(
        self, position: int, score: Callable[[], Observation]
    ) -> tuple[Observation, ControlTime | None]:
        """Score one request, in turn with the control if it comes.

        Parameters
        ----------
        position : int
            The request, within a burst.
        score : callable
            Scores it here and now, and leaves nothing marked as in hand.
        """
        self.begin(position)
        if not self._asks or self._leave():
            return score(), None
        with on_one_core():
            first = bool(hash_positions(np.asarray([position]))[0] < 0.5)
            until = time.monotonic_ns() + int(PATIENCE_S * 1e9)
            self._line.say(Message(Word.COME, position, flag=first, until_ns=until))
            if self._hear(Word.HERE, position, PATIENCE_S) is None:
                self._miss()
                return score(), None
            done = None if first else self._hear(Word.DONE, position, WORK_S)
            seen = score()
            if first:
                self._line.say(Message(Word.YOURS, position))
                done = self._hear(Word.DONE, position, WORK_S)
        if done is None:
            self._miss()
            return seen, None
        self._missed = 0
        # The restart of either process begins another life of the pair.
        return seen, ControlTime(
            done.ms, bool(done.flag), hash((os.getpid(), done.pid)) & 0xFFFFFFFF
        )

    def begin(self, position: int) -> None:
        """Settle whether the control is asked to a request's burst: not after it failed to come."""
        found = burst_of(position)
        burst = None if found is None else (worker_of(position), found[0])
        if burst is None:
            self._asks = False
        elif burst != self._burst:
            self._burst, self._asks = burst, self._pass_over == 0
            self._pass_over = max(0, self._pass_over - 1)
            if self._asks and self._patient and not self._leave():
                self._await_start()

    def _await_start(self) -> None:
        self._patient = False
        until = time.monotonic() + FIRST_PATIENCE_S
        while self._is_loading() and time.monotonic() < until and not self._leave():
            time.sleep(0.05)

    def _miss(self) -> None:
        self._missed += 1
        self._asks = False
        self._pass_over = min(MOST_PASSED, 2 ** (self._missed - 1) - 1)

    def _hear(self, word: Word, position: int, seconds: float) -> Message | None:
        until = time.monotonic() + seconds
        while True:
            while self._heard:  # two may have come at once
                message = self._heard.popleft()
                if message.position == position and message.word is Word.NO:
                    return None
                if message.position == position and message.word is word:
                    return message
            left = until - time.monotonic()
            if left <= 0 or not self._line.wait(left):
                return None
            self._heard += self._line.read()

    def close(self) -> None:
        """Close the line."""
        self._line.close()


@dataclass(frozen=True, slots=True)
class Taken:
    """What the control scored in a turn, before it came to that request itself.

    Parameters
    ----------
    spent_ns : int
        What the turn took of its time.
    """

    observation: Observation
    warm: bool
    spent_ns: int = 0


class Answering:
    """The control's side: comes to the challengers' bursts, between requests of its own.

    Parameters
    ----------
    lines : callable
        Gives one to each challenger: they come and go.
    journal : Path
        Where requests are read.
    observer, inflight, warmth
        The lane's own.
    refuses : callable
        Given a position, whether it must not be scored now: the lane is paused, or a process died of it.
    repeat : bool
        Whether a request may be scored more than once.
    clock : Stopwatch, optional
        Where the lane's time goes.
    """

    def __init__(
        self,
        lines: Callable[[], Sequence[Line]],
        *,
        journal: Path,
        observer: Observer,
        inflight: InFlight,
        warmth: Warmth,
        refuses: Callable[[int], bool],
        repeat: bool,
        clock: Stopwatch | None = None,
    ) -> None:
        self._clock = clock or Stopwatch()
        self._lines = lines
        self._journal = journal
        self._observer = observer
        self._inflight = inflight
        self._warmth = warmth
        self._refuses = refuses
        self._repeat = repeat
        self._taken: dict[int, Taken] = {}

    def serve(self, seconds: float = 0.0) -> None:
        """Come to whoever asks, waiting for them so long; then until nobody asks any more."""
        lines = {line.fileno(): line for line in self._lines()}
        while ready := poll(list(lines.values()), seconds):
            for fd in ready:
                asked = [m for m in lines[fd].read() if m.word is Word.COME]
                # Only the last question, and only while its asker still waits.
                if asked and asked[-1].until_ns > time.monotonic_ns():
                    self._come(lines[fd], asked[-1])
            seconds = ATTENTIVE_S

    def taken(self, position: int) -> Taken | None:
        """Hand over what was scored of a request in a turn, once."""
        return self._taken.pop(position, None)

    def _come(self, line: Line, asked: Message) -> None:
        typed = self._typed(asked.position)
        if typed is None:
            line.say(Message(Word.NO, asked.position))
            return
        began_ns = time.monotonic_ns()
        with self._clock.during(ALONE), on_one_core():
            line.say(Message(Word.HERE, asked.position))
            if asked.flag and not _is_told(line, asked.position):
                return
            warm = self._warmth.reach()
            self._inflight.mark([asked.position])
            seen = self._observer.alone(typed)
            self._inflight.clear()
        ms = nan if seen.times is None else seen.times.work_ns / 1e6
        # The answer before anything else: the challenger waits for it.
        line.say(Message(Word.DONE, asked.position, flag=warm, ms=ms))
        self._warmth.scored(typed, seen)
        self._taken[asked.position] = Taken(seen, warm, time.monotonic_ns() - began_ns)
        # What the control never comes to is dropped, the oldest first.
        while len(self._taken) > MOST_KEPT:
            del self._taken[next(iter(self._taken))]

    def _typed(self, position: int) -> Typed | None:
        # A version whose calls have effects is asked once.
        if self._refuses(position) or (not self._repeat and position in self._taken):
            return None
        try:
            request: Request | None = reader.find(self._journal, position)
        except UnreadableError:
            return None
        if request is None or request.body is None:
            return None
        typed = self._observer.typed(request)
        return None if typed.rows is None else typed

    def close(self) -> None:
        """Close the lines."""
        for line in self._lines():
            line.close()


def _is_told(line: Line, position: int) -> bool:
    """Wait for the challenger's turn to end; False where it took too long or asks something else."""
    until = time.monotonic() + WORK_S
    while (left := until - time.monotonic()) > 0 and line.wait(left):
        told = line.read()
        if any(m.word is Word.YOURS and m.position == position for m in told):
            return True
        # The challenger has given this pair up, and has gone on to the next request.
        if any(m.word is Word.COME for m in told):
            return False
    return False


@contextmanager
def on_one_core() -> Iterator[None]:
    """Keep the calling thread on the first of its CPUs for the length of a block.

    Only where every role has one thread: what a model starts meanwhile would stay there.
    """
    cpus = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if len(cpus) < 2 or os.environ.get(_THREADS) != "1":
        yield
        return
    # The first one in both lanes, so that they meet on the same core.
    os.sched_setaffinity(0, {min(cpus)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cpus)
