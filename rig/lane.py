"""A whole lane in this process, over a journal of requests that a champion has answered."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import pandas as pd

from rig.deployment import CHALLENGER, CONTROL, deployment
from rig.journal import TIMES, request
from rig.scoring import body, double, opaque, record
from shadowserve.comparison.comparing import Comparer
from shadowserve.comparison.learned import Learned
from shadowserve.faults import fault_of, to_json
from shadowserve.host.leash import tie_to_parent
from shadowserve.journal import reader
from shadowserve.journal.reader import JournalReader
from shadowserve.journal.writer import Writer
from shadowserve.lane.building import backlog_of
from shadowserve.lane.frames import frame
from shadowserve.lane.members import Members
from shadowserve.lane.observing import Observer
from shadowserve.lane.parts import Parts
from shadowserve.lane.rescoring import Rescorer
from shadowserve.lane.run import Lane
from shadowserve.lane.scorer_process import serve
from shadowserve.lane.scorers import Scorers
from shadowserve.lane.seconds import seconds
from shadowserve.lane.steady import Steady
from shadowserve.lane.warmth import Warmth
from shadowserve.records import Request
from shadowserve.schema.disclosure import Disclosure
from shadowserve.scorer.scorer import Scorer
from shadowserve.settings.vocabulary import WhenBehind
from shadowserve.state import ledger
from shadowserve.state.counters import Counters
from shadowserve.state.deployment import LaneName
from shadowserve.state.inflight import InFlight
from shadowserve.state.lane_file import LaneState
from shadowserve.state.metrics import RoleMetrics
from shadowserve.state.places import Places
from shadowserve.statistics.switchback import Schedule
from shadowserve.wire.protocols import protocols

INCARNATION = "rig"
LABELLED = Disclosure(b"salt")
TABLE = dict(protocols("films", 3))


def answer(
    places: Places,
    records: Sequence[Mapping[str, Any]],
    *,
    champion: Scorer | None = None,
    worker: int = 0,
    sampled: Callable[[int], bool] = lambda _: True,
    segment_bytes: int = 64 * 2**20,
    **changes: Any,
) -> list[Request]:
    """Journal and count one request a record, each answered by the champion, and close the journal."""
    tell = partial(_told, champion) if champion is not None else _told_doubled
    steps = champion.step_names if champion is not None else ()
    writer = Writer(places.journal, worker=worker, steps=steps, segment_bytes=segment_bytes)
    counted = Counters(places.counters(worker))
    made = []
    for n, one in enumerate(records):
        writer._spare.exception()
        made.append(_answered(writer, tell, one, sampled=sampled(n), changes=changes))
        writer.append(made[-1:])
        good = made[-1].status == 200
        counted.journal_step(
            answered=good, failed=not good, appended=1, append_failed=0, sequence=writer.sequence,
            replayed=made[-1].replay is not None,
        )  # fmt: skip
    writer.close()
    counted.close()
    return made


def _told(champion: Scorer, sent: bytes) -> tuple[int, bytes]:
    protocol = TABLE["invocations"]
    try:
        rows, echo = protocol.parse(sent, "application/json", champion.schema)
        return 200, protocol.encode(champion.score(rows).output, echo=echo)
    except Exception as error:
        return 500, to_json(fault_of(error))


@cache
def _told_doubled(sent: bytes) -> tuple[int, bytes]:
    """Many tests send the same records to the same model: each is answered once."""
    return _told(opaque(double, number=3), sent)


def _answered(
    writer: Writer,
    tell: Callable[[bytes], tuple[int, bytes]],
    one: Mapping[str, Any],
    *,
    sampled: bool,
    changes: Any,
) -> Request:
    sent = body(one)
    status, told = tell(sent)
    fields = {"times": TIMES, **changes}
    said = {"body": sent, "answer": told} if sampled else {"body": None, "answer": b""}
    return request(writer.position(0), status=status, **{**said, **fields})


def lane(
    places: Places,
    scorer: Scorer,
    *,
    name: LaneName = CHALLENGER,
    rescore: bool = False,
    disclosure: Disclosure = LABELLED,
    scorers: int = 0,
    deadline_s: float = 10.0,
    when_behind: WhenBehind = WhenBehind.SCORE_ALL,
    entity: str | None = None,
    staffing: Any = None,
    steady: bool = False,
) -> Lane:
    """Put a lane together at its cursor, as its process does; further scorers are forked."""
    files = places.lane(name.role, name.version)
    files.parts.mkdir(parents=True, exist_ok=True)
    state = LaneState(files.state)
    known = state.summaries()
    inflight = InFlight(files.inflight)
    observer = Observer(scorer, TABLE, mark=inflight.step)
    comparer = Comparer(TABLE, classes=scorer.loaded.classes)
    parts = Parts(
        name=name,
        places=places,
        observer=observer,
        comparer=comparer,
        rescorer=Rescorer(observer, TABLE, comparer=comparer, hold=inflight.mark)
        if rescore
        else None,
        learned=Learned.from_state(known) if known else Learned({}, dict(scorer.step_names)),
        state=state,
        tail=JournalReader(places.journal, cursor=state.cursor()),
        inflight=inflight,
        metrics=RoleMetrics(name.role.value, name.version, steps=[n for n, _ in scorer.step_names]),
        disclosure=disclosure,
        schedule=Schedule(time.time_ns(), "salt"),
        warmth=Warmth(observer, inflight, repeat=rescore),
    )
    parts.categories = scorer.loaded.categories()
    parts.entity = entity
    if steady:
        parts.steady = Steady(places, files.call_rows, deadline_s)
    made = Lane(parts)
    if parts.rescorer is not None:
        parts.rescorer.elsewhere = made.execution.elsewhere
    members = Members(places, deployment())
    parts.backlog = None if steady else backlog_of(made, members, when_behind=when_behind)
    if scorers:
        parts.scorers = Scorers(
            scorers,
            start=lambda number, line: Forked.scorer(scorer, files.scorer(number), line),
            mark=files.scorer,
            deaths=made.execution.deaths,
            incarnation=INCARNATION,
            deadline_s=deadline_s,
            memory_bytes=2**40,
            staffing=staffing,
        )
    if rescore:
        parts.seconds = seconds(made, members, control=CONTROL)
    parts.learned.classes = scorer.loaded.classes
    if parts.learned.outputs.tally is not None:
        parts.comparer.resume(parts.learned.outputs.tally)
    return made


def work(
    places: Places, scorer: Scorer | None = None, *, upto: int | None = None, **options: Any
) -> Lane:
    """Let a lane score the journal to its end, or so many requests at least; return it, closed."""
    made = lane(places, scorer or opaque(double), **options)
    goal = reader.extent(places.journal).last
    started = sum(made.parts.state.cursor().values())

    def stopping() -> bool:
        done = dealt_with(made)
        if upto is not None and sum(done.values()) - started >= upto:
            return True
        return all(done.get(worker, 0) >= last for worker, last in goal.items())

    made.parts.stopping = stopping
    made.run()
    close(made)
    return made


def dealt_with(made: Lane) -> Mapping[int, int]:
    """Return how far a lane has dealt with the journal, committed or not."""
    return {**made.parts.state.cursor(), **(made.commits.progress.cursor or {})}


class Forked:
    """A forked process that can be asked what `subprocess.Popen` can."""

    def __init__(self, run: Callable[[], None]) -> None:
        self._ended: int | None = None
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # of forking beside threads, which the child does not use
            self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                run()
                status = 0
            except SystemExit as left:
                status = int(left.code or 0)
            finally:
                os._exit(status)

    @classmethod
    def scorer(cls, version: Scorer, mark: Path, line: socket.socket) -> Forked:
        """Fork a scorer of a version that answers on a socket."""

        def run() -> None:
            tie_to_parent()
            _close_sockets_but(line.fileno())  # else it would hold the lane's own end open
            line.sendall(frame({"incarnation": INCARNATION, "ready": True}))
            inflight = InFlight(mark)
            serve(
                line,
                Observer(version, TABLE, mark=inflight.step),
                inflight,
                incarnation=INCARNATION,
            )

        return cls(run)

    def poll(self) -> int | None:
        """Return how it ended, None while it runs."""
        if self._ended is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._ended = os.waitstatus_to_exitcode(status) if pid else None
        return self._ended

    def kill(self) -> None:
        """End it now."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def _close_sockets_but(kept: int) -> None:
    """Close what a started process would not have inherited."""
    for fd in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
        with contextlib.suppress(OSError):
            if fd != kept and stat.S_ISSOCK(os.fstat(fd).st_mode):
                os.close(fd)


def close(made: Lane) -> None:
    if made.parts.scorers is not None:
        made.parts.scorers.close()
    made.parts.tail.close()
    made.parts.state.close()
    made.parts.inflight.close()


def told(places: Places, name: LaneName = CHALLENGER, **changes: Any) -> dict[str, int]:
    """Return a lane's outcomes that are not 0, pending among them; the ledger must balance."""
    counted = ledger.read(places, deployment(**{"control": False, **changes}))
    assert counted.balanced
    one = next(entry for entry in counted.lanes if entry.name == name)
    found = {outcome.value: n for outcome, n in one.outcomes.items()} | {"pending": one.pending}
    return {outcome: n for outcome, n in found.items() if n}


def parts(places: Places, name: LaneName = CHALLENGER) -> pd.DataFrame:
    """Return all rows of a lane's Parquet parts."""
    files = sorted(places.lane(name.role, name.version).parts.glob("*.parquet"))
    return pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)


def in_a_child(
    run: Callable[[], None], *, kill_after_s: float | None = None, cpu_s: float | None = None
) -> int:
    """Run a function in a forked process, kill it if asked to, and return how it ended.

    `cpu_s` is time that it has worked, so that it gets as far on a busy machine before the kernel ends it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forking beside threads, which the child does not use
        pid = os.fork()
    if pid == 0:
        try:
            if cpu_s is not None:
                signal.setitimer(signal.ITIMER_PROF, cpu_s)  # SIGPROF ends who does not handle it
            run()
        finally:
            os._exit(0)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def records(n: int) -> list[dict[str, Any]]:
    return [record(i) for i in range(n)]
