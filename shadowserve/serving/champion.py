"""The hot path: a request goes in, the champion's answer comes out, a record stays behind.

One `Champion` lives in each worker. Requests are parsed where they arrive; a single thread scores
them in batches of whatever has come in meanwhile, so one client waits for nobody and sixty-four
share one call of the model. The journal is written before any answer of the batch leaves. Nothing
here knows that lanes exist.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from shadowserve.faults import fault_of, tell
from shadowserve.schema.rows import Rows, concat
from shadowserve.scorer.scorer import Scored
from shadowserve.serving.call_size import MOST_ROWS, CallSize
from shadowserve.serving.recorder import BatchRecorder, Entry
from shadowserve.serving.work import Call, Served, Work, encoded, failed, tried
from shadowserve.state import sharing
from shadowserve.state.counters import Counters
from shadowserve.state.metrics import RoleMetrics
from shadowserve.state.sharing import Sharing

MAX_QUEUED_ROWS = 20_000
MAX_QUEUED_BYTES = 64 * 2**20
MAX_INTERRUPTIONS = 100

_log = logging.getLogger(__name__)


class Overloaded(Exception):  # noqa: N818 - a state, not a fault
    """The queue is full by rows or bytes; the caller is told to come back."""


class Scoring(Protocol):
    """What the champion needs of a loaded version; `scorer.Scorer` is one."""

    @property
    def sharing(self) -> Sharing:
        """Whether requests may share a call, and what may change that."""

    @property
    def multi_output(self) -> bool:
        """Whether several rows are answered with a list of arrays, one an output."""

    def score(self, rows: Rows) -> Scored:
        """Score typed rows."""

    def split(self, output: Any, lengths: Sequence[int]) -> list[Any]:
        """Cut a batch's prediction back into the requests' own."""


@dataclass(slots=True)
class _Passage:
    """How far a batch has come, so that it is seen through from there after an interruption."""

    batch: list[Work] = field(default_factory=list)
    taken: bool = False
    served: list[Served] | None = None
    entry: Entry = field(default_factory=Entry)


class Champion:
    """Scores what is submitted, on the thread that runs it, and journals it before answering.

    Parameters
    ----------
    scorer : Scoring
        The loaded champion.
    recorder : BatchRecorder
        Writes to this worker's journal.
    counters : Counters
        This worker's counts.
    metrics : RoleMetrics, optional
        Where times are observed once the answers have left.
    mark : sequence of int of length 1
        Shared memory in which lanes say what recorded requests have shown (`sharing.Mark`); read
        before each batch.
    max_batch_rows : int
        A batch never takes in requests beyond this many rows (`CallSize` says how many at a time); a
        larger request is scored alone.
    max_queued_rows, max_queued_bytes : int
        Beyond either, `submit` refuses.
    """

    def __init__(
        self,
        scorer: Scoring,
        recorder: BatchRecorder,
        *,
        counters: Counters,
        metrics: RoleMetrics | None = None,
        mark: Sequence[int] = (sharing.UNDECIDED,),
        max_batch_rows: int = MOST_ROWS,
        max_queued_rows: int = MAX_QUEUED_ROWS,
        max_queued_bytes: int = MAX_QUEUED_BYTES,
    ) -> None:
        self._scorer = scorer
        self._recorder = recorder
        self._counters = counters
        self._metrics = metrics
        self._mark = mark
        self._size = CallSize(most=max_batch_rows, known=scorer.sharing.unknown is None)
        self._by_row = not scorer.multi_output
        self._shares = scorer.sharing.rows(1)
        self._max_queued_rows = max_queued_rows
        self._max_queued_bytes = max_queued_bytes
        self._waiting: collections.deque[Work] = collections.deque()
        self._queued_rows = 0
        self._queued_bytes = 0
        self._bell = threading.Condition()
        self._open = True
        self._ended = threading.Event()
        # One tuple, replaced at once: the event loop reads it while this thread scores.
        self._in_call: tuple[Sequence[Work], int] = ((), 0)

    def submit(self, work: Work) -> None:
        """Put a request in line.

        Raises
        ------
        Overloaded
            If the line is full by rows or bytes.
        """
        if self.submit_all((work,)):
            raise Overloaded

    def submit_all(self, works: Sequence[Work]) -> Sequence[Work]:
        """Put requests in line, all at once; return those for which there is no room."""
        refused = []
        with self._bell:
            for work in works:
                rows = self._queued_rows + work.rows.n_rows
                size = self._queued_bytes + len(work.body)
                full = rows > self._max_queued_rows or size > self._max_queued_bytes
                # An empty line takes any size, or a request larger than the line would never be
                # served.
                if (full and self._waiting) or not self._open:
                    refused.append(work)
                    continue
                self._queued_rows, self._queued_bytes = rows, size
                self._waiting.append(work)
            self._bell.notify()
        return refused

    def close(self) -> None:
        """Finish what is in line, then stop; returns once `run` has ended."""
        with self._bell:
            self._open = False
            self._bell.notify()
        self._ended.wait()

    def record_with(self, recorder: BatchRecorder) -> None:
        """Record elsewhere from here on; to be called while nothing is in line."""
        self._recorder = recorder

    @property
    def in_call(self) -> tuple[Sequence[Work], int]:
        """The requests that are being scored now, and since when by the monotonic clock, in ns."""
        return self._in_call

    def withdraw(self) -> Sequence[Work]:
        """Take no more, and give back what waits in line: the call before it does not end."""
        with self._bell:
            self._open = False
            waiting = list(self._waiting)
            self._waiting.clear()
        return waiting

    def run(self) -> None:
        """Serve until closed, on the thread that loaded the version: what it keeps may be the thread's."""
        try:
            while self._turn():
                pass
        finally:
            self._ended.set()

    def _turn(self) -> bool:
        """Serve one batch; False once closed. What a model left behind may raise here at any instant."""
        passage = _Passage()
        # Begun again where it stood; what interrupts a hundred times over would not let it through.
        for _ in range(MAX_INTERRUPTIONS):
            try:
                if not passage.taken:
                    self._take(passage)
                if passage.batch:
                    self._serve(passage)
                return bool(passage.batch)
            except BaseException as error:
                fault = fault_of(error)
                tell(_log, "between calls of the model: %s at %s", fault.type, fault.frame)
        return True

    def _serve(self, passage: _Passage) -> None:
        """See a batch through from where it is: whatever a model has left behind, every caller gets an answer.

        An exception from another thread may come between any two steps; then this is called again.
        """
        if passage.served is None:
            passage.served = self._called(passage.batch)
        # The model's call is over: what follows is ours, and no timeout of the call.
        self._in_call = ((), 0)
        self._counters.set("busy_ns", 0)
        self._record(passage)
        _hand_over(passage.served)
        self._measure(passage.served)

    def _called(self, batch: list[Work]) -> list[Served]:
        started_ns = time.monotonic_ns()
        self._counters.set("busy_ns", started_ns)
        self._in_call = (batch, started_ns)
        try:
            return self._answer(batch, started_ns)
        except BaseException as error:  # raised past the net of a call: by a signal, another thread
            return [failed(work, error, started_ns) for work in batch]

    def _take(self, passage: _Passage) -> None:
        """Wait for work and take what may share a batch; nothing when closed.

        What is taken leaves the line only afterwards: an interruption between the two loses nobody.
        """
        with self._bell:
            while not self._waiting and self._open and not passage.batch:
                self._bell.wait()
            if not passage.batch:
                passage.batch = self._next()
            for work in passage.batch:
                # Begun again after an interruption, it finds that some have left the line already.
                if self._waiting and self._waiting[0] is work:
                    self._waiting.popleft()
                    self._queued_rows -= work.rows.n_rows
                    self._queued_bytes -= len(work.body)
            # An interruption may have parted a request from its sums; an empty line sets them
            # right.
            if not self._waiting:
                self._queued_rows = self._queued_bytes = 0
            passage.taken = True

    def _next(self) -> list[Work]:
        batch: list[Work] = []
        n_rows = n_bytes = 0
        # Read for each batch: lanes may have found meanwhile that requests must not share calls.
        shared = self._shares[self._mark[0]]
        for work in self._waiting:
            n_rows += work.rows.n_rows
            n_bytes += len(work.body)
            full = not shared or not self._size.takes(n_rows, n_bytes)
            if batch and (full or work.rows.params != batch[0].rows.params):
                break
            batch.append(work)
        return batch

    def _answer(self, batch: list[Work], started_ns: int) -> list[Served]:
        """Score the batch together; where that fails, its halves, down to each request alone."""
        if batch[0].trial is not None:  # then each has one
            refused = [one for work in batch if (one := tried(work, started_ns)) is not None]
            if refused:
                failing = {id(one.work) for one in refused}
                good = [replace(work, trial=None) for work in batch if id(work) not in failing]
                return [*refused, *(self._answer(good, started_ns) if good else ())]
        try:
            calling_ns = time.monotonic_ns()
            scored = self._scorer.score(concat([work.rows for work in batch]))
            encoding_ns = time.monotonic_ns()
            bodies, lost = encoded(batch, scored.output, self._scorer.split, by_row=self._by_row)
        except BaseException as error:  # a model's sys.exit() must not end the thread
            if len(batch) > 1:
                middle = len(batch) // 2
                halves = (batch[:middle], batch[middle:])
                return [one for half in halves for one in self._answer(half, started_ns)]
            return [failed(batch[0], error, started_ns)]
        n_rows = sum([work.rows.n_rows for work in batch])
        took = (scored.featurization_ns, scored.inference_ns, time.monotonic_ns() - encoding_ns)
        self._size.took(n_rows, encoding_ns - calling_ns)
        call = Call(scored.wall_ns, scored.cpu_ns, len(batch), n_rows)
        return [
            Served(work, 200, body, work.phases_ns(started_ns, *took), call, n_lost)
            for work, body, n_lost in zip(batch, bodies, lost, strict=True)
        ]

    def _record(self, passage: _Passage) -> None:
        """Journal the batch before it leaves; what was refused by the model's type hint is not in it."""
        served = [one for one in passage.served or () if one.refusal is None]
        if served:
            self._recorder.record(
                passage.entry,
                lambda position: [one.request(position(n)) for n, one in enumerate(served)],
            )

    def _measure(self, served: list[Served]) -> None:
        """Observe the times once the answers have left; it may fail without anybody's harm."""
        if self._metrics is not None and served[0].status == 200:
            with contextlib.suppress(BaseException):
                self._metrics.observe(served[0].times)


def _hand_over(served: list[Served]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits any more
        served[0].work.loop.call_soon_threadsafe(_deliver, served)


def _deliver(served: list[Served]) -> None:
    for one in served:
        if not one.work.done.done():  # a client that went away no longer waits
            one.work.done.set_result(one)
