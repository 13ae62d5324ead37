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
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from shadowserve.errors import JournalError, RequestError
from shadowserve.faults import fault_of, tell, to_json
from shadowserve.records import Request, Times, sequence_of
from shadowserve.schema.rows import Rows, concat
from shadowserve.scorer.scorer import Scored
from shadowserve.state import sharing
from shadowserve.state.counters import Counters
from shadowserve.state.metrics import RoleMetrics
from shadowserve.state.sharing import Sharing
from shadowserve.wire import nonfinite

MAX_BATCH_ROWS = 64
MAX_QUEUED_ROWS = 20_000
MAX_QUEUED_BYTES = 64 * 2**20
TOLD_EVERY_NS = 10**9
MAX_INTERRUPTIONS = 100
MAX_APPENDS = 3

_log = logging.getLogger(__name__)


class Overloaded(Exception):  # noqa: N818 - a state, not a fault
    """The queue is full by rows or bytes; the caller is told to come back."""


class Scoring(Protocol):
    """What the champion needs of a loaded version; `scorer.Scorer` is one."""

    @property
    def sharing(self) -> Sharing:
        """Whether requests may share a call, and what may change that."""

    def score(self, rows: Rows) -> Scored:
        """Score typed rows."""

    def split(self, output: Any, lengths: Sequence[int]) -> list[Any]:
        """Cut a batch's prediction back into the requests' own."""


class Journal(Protocol):
    """What the champion needs of a journal; `journal.Writer` is one."""

    sequence: int

    def position(self, offset: int) -> int:
        """Return the position of the next append's `offset`-th request."""

    def append(self, requests: Sequence[Request]) -> None:
        """Write the requests, all or none; raise JournalError for none."""


@dataclass(slots=True)
class Work:
    """One request on its way through the worker.

    Parameters
    ----------
    rows : Rows
        The typed rows.
    encode : callable
        Turns this request's prediction into the bytes of its protocol.
    sampled : bool
        Whether lanes will get the body.
    arrived_ns, parsed_ns : int
        Monotonic; when the request arrived and when its rows were typed.
    parse_ns, schema_ns : int
        What reading the body took, and what typing its values took.
    loop, done : event loop and its future
        Where the answer is awaited.
    trial : callable, optional
        Tries the rows by the model's type hint; raises RequestError where they do not fit.
    unit : int, optional
        The entity that a header named; see `units`.
    """

    request_id: str
    protocol: str
    content_type: str
    body: bytes
    rows: Rows
    encode: Callable[[Any], bytes]
    sampled: bool
    arrived_wall_ns: int
    arrived_ns: int
    parsed_ns: int
    parse_ns: int
    schema_ns: int
    loop: AbstractEventLoop
    done: Future[Served]
    trial: Callable[[], None] | None = None
    unit: int | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """A request and its end: a 200 with the encoded prediction, a 500 with the fault, or a refusal.

    Parameters
    ----------
    nonfinite : int
        NaN and infinite values of the prediction, which are null in the body.
    refusal : RequestError, optional
        What the model's type hint has against it; then it was not scored, and is not journaled.
    """

    work: Work
    status: int
    body: bytes
    times: Times
    nonfinite: int = 0
    refusal: RequestError | None = None


@dataclass(slots=True)
class _Passage:
    """How far a batch has come, so that it is seen through from there after an interruption."""

    batch: list[Work] = field(default_factory=list)
    taken: bool = False
    served: list[Served] | None = None
    requests: list[Request] | None = None
    tries: int = 0
    counting: bool = False
    recorded: bool = False


class Champion:
    """Scores what is submitted, on the thread that runs it, and journals it before answering.

    Parameters
    ----------
    scorer : Scoring
        The loaded champion.
    journal : Journal
        This worker's journal.
    counters : Counters
        This worker's counts.
    metrics : RoleMetrics, optional
        Where times are observed once the answers have left.
    mark : sequence of int of length 1
        Shared memory in which lanes say what recorded requests have shown (`sharing.Mark`); read
        before each batch.
    max_batch_rows : int
        A batch takes in requests up to this many rows; a larger request is scored alone.
    max_queued_rows, max_queued_bytes : int
        Beyond either, `submit` refuses.
    """

    def __init__(
        self,
        scorer: Scoring,
        journal: Journal,
        *,
        counters: Counters,
        metrics: RoleMetrics | None = None,
        mark: Sequence[int] = (sharing.UNDECIDED,),
        max_batch_rows: int = MAX_BATCH_ROWS,
        max_queued_rows: int = MAX_QUEUED_ROWS,
        max_queued_bytes: int = MAX_QUEUED_BYTES,
    ) -> None:
        self._scorer = scorer
        self._journal = journal
        self._counters = counters
        self._metrics = metrics
        self._mark = mark
        self._batch_rows = scorer.sharing.rows(max_batch_rows)
        self._max_queued_rows = max_queued_rows
        self._max_queued_bytes = max_queued_bytes
        self._waiting: collections.deque[Work] = collections.deque()
        self._queued_rows = 0
        self._queued_bytes = 0
        self._unrecorded = self._told_ns = 0
        self._bell = threading.Condition()
        self._open = True
        self._ended = threading.Event()
        self._in_call: tuple[Sequence[Work], int] = ((), 0)

    def submit(self, work: Work) -> None:
        """Put a request in line.

        Raises
        ------
        Overloaded
            If the line is full by rows or bytes.
        """
        with self._bell:
            rows = self._queued_rows + work.rows.n_rows
            size = self._queued_bytes + len(work.body)
            full = rows > self._max_queued_rows or size > self._max_queued_bytes
            if (full and self._waiting) or not self._open:
                raise Overloaded
            self._queued_rows, self._queued_bytes = rows, size
            self._waiting.append(work)
            self._bell.notify()

    def close(self) -> None:
        """Finish what is in line, then stop; returns once `run` has ended."""
        with self._bell:
            self._open = False
            self._bell.notify()
        self._ended.wait()

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
        self._in_call = ((), 0)
        self._counters.set("busy_ns", 0)
        if not passage.recorded:
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
            return [_failed(work, error, started_ns) for work in batch]

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
                if self._waiting and self._waiting[0] is work:
                    self._waiting.popleft()
                    self._queued_rows -= work.rows.n_rows
                    self._queued_bytes -= len(work.body)
            if not self._waiting:
                self._queued_rows = self._queued_bytes = 0
            passage.taken = True

    def _next(self) -> list[Work]:
        batch: list[Work] = []
        n_rows, most_rows = 0, self._batch_rows[self._mark[0]]
        for work in self._waiting:
            n_rows += work.rows.n_rows
            if batch and (n_rows > most_rows or work.rows.params != batch[0].rows.params):
                break
            batch.append(work)
        return batch

    def _answer(self, batch: list[Work], started_ns: int) -> list[Served]:
        """Score the batch together; where that fails, each request alone."""
        if batch[0].trial is not None:  # then each has one
            refused = [one for work in batch if (one := _tried(work, started_ns)) is not None]
            if refused:
                failing = {id(one.work) for one in refused}
                good = [replace(work, trial=None) for work in batch if id(work) not in failing]
                return [*refused, *(self._answer(good, started_ns) if good else ())]
        try:
            scored = self._scorer.score(concat([work.rows for work in batch]))
            outputs = self._scorer.split(scored.output, [work.rows.n_rows for work in batch])
            encoding_ns = time.monotonic_ns()
            bodies = [work.encode(output) for work, output in zip(batch, outputs, strict=True)]
        except BaseException as error:  # a model's sys.exit() must not end the thread
            if len(batch) > 1:
                return [alone for work in batch for alone in self._answer([work], started_ns)]
            return [_failed(batch[0], error, started_ns)]
        encode_ns = time.monotonic_ns() - encoding_ns
        size = (len(batch), sum(work.rows.n_rows for work in batch))
        return [
            Served(
                work,
                200,
                body,
                _times(work, scored, started_ns, encode_ns, size),
                _nonfinite(output, body),
            )
            for work, output, body in zip(batch, outputs, bodies, strict=True)
        ]

    def _record(self, passage: _Passage) -> None:
        """Journal the batch before it leaves; a failure is counted, never the caller's.

        Begun again after an interruption, it neither writes nor counts twice.
        """
        served = [one for one in passage.served or () if one.refusal is None]
        if not served:
            return
        failed = sum(one.status != 200 for one in served)
        if passage.requests is None:
            passage.requests = [self._request(i, one) for i, one in enumerate(served)]
        before, last = passage.requests[0].position, passage.requests[-1].position
        if self._journal.sequence < sequence_of(before):
            try:
                self._journal.append(passage.requests)
            except BaseException as error:  # whatever it is, the answers leave
                passage.tries += 1
                if not isinstance(error, JournalError) and passage.tries < MAX_APPENDS:
                    raise  # interrupted perhaps after the commit: it is begun again
                self._tell_unrecorded(len(served), error)
        appended = len(served) if self._journal.sequence >= sequence_of(last) else 0
        if not (appended and passage.counting) or self._uncounted():
            passage.counting = True
            self._counters.journal_step(
                answered=len(served) - failed,
                failed=failed,
                appended=appended,
                append_failed=len(served) - appended,
                sequence=self._journal.sequence,
            )
        passage.recorded = True

    def _uncounted(self) -> bool:
        return self._counters.counts().sequence < self._journal.sequence

    def _tell_unrecorded(self, n: int, error: BaseException) -> None:
        """Log what was not recorded, once a second at most: the log may lie on the same full disk."""
        self._unrecorded += n
        now_ns = time.monotonic_ns()
        if now_ns - self._told_ns >= TOLD_EVERY_NS:
            told = error if isinstance(error, JournalError) else fault_of(error).type
            tell(_log, "journal: %d answered requests not recorded (%s)", self._unrecorded, told)
            self._unrecorded, self._told_ns = 0, now_ns

    def _request(self, offset: int, served: Served) -> Request:
        work = served.work
        return Request(
            position=self._journal.position(offset),
            request_id=work.request_id,
            arrived_wall_ns=work.arrived_wall_ns,
            arrived_ns=work.arrived_ns,
            protocol=work.protocol,
            content_type=work.content_type,
            body=work.body if work.sampled else None,
            status=served.status,
            answer=served.body if work.sampled else b"",
            n_rows=work.rows.n_rows,
            times=served.times.pack(),
            unit=work.unit,
        )

    def _measure(self, served: list[Served]) -> None:
        """Observe the times once the answers have left; it may fail without anybody's harm."""
        if self._metrics is not None and served[0].status == 200:
            with contextlib.suppress(BaseException):
                self._metrics.observe(served[0].times)


def _nonfinite(output: Any, body: bytes) -> int:
    """Count what became null without having been None; most answers have no null at all."""
    if b"null" in body:
        with contextlib.suppress(BaseException):  # it is encoded, and leaves whatever comes of this
            return nonfinite(output)
    return 0


def _tried(work: Work, started_ns: int) -> Served | None:
    """Try a request by the model's type hint; return its end, where it does not fit."""
    try:
        if work.trial is not None:
            work.trial()
    except RequestError as error:
        return Served(work, error.status, b"", Times(phases_ns=()), refusal=error)
    except BaseException as error:
        return _failed(work, error, started_ns)
    return None


def _times(
    work: Work, scored: Scored, started_ns: int, encode_ns: int, size: tuple[int, int]
) -> Times:
    queue_ns = started_ns - work.parsed_ns
    before = (queue_ns, work.parse_ns, work.schema_ns)
    return Times(
        phases_ns=(*before, scored.featurization_ns, scored.inference_ns, encode_ns),
        wall_ns=scored.wall_ns,
        cpu_ns=scored.cpu_ns,
        batch_requests=size[0],
        batch_rows=size[1],
    )


def _failed(work: Work, error: BaseException, started_ns: int) -> Served:
    fault = fault_of(error)
    tell(
        _log,
        "the champion failed on request %s: %s at %s",
        work.request_id,
        fault.type,
        fault.frame,
    )
    waited = (started_ns - work.parsed_ns, work.parse_ns, work.schema_ns, 0, 0, 0)
    return Served(work, 500, to_json(fault), Times(phases_ns=waited))


def _hand_over(served: list[Served]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits any more
        served[0].work.loop.call_soon_threadsafe(_deliver, served)


def _deliver(served: list[Served]) -> None:
    for one in served:
        if not one.work.done.done():  # a client that went away no longer waits
            one.work.done.set_result(one)
