"""One rescoring at work: feeder, lanes and evidence writer, looked after until everything is scored and has arrived."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from shadowserve.ending import ending
from shadowserve.errors import ShadowserveError, UnreachableError
from shadowserve.evidence.outstanding import outstanding
from shadowserve.labels.owner import take
from shadowserve.labels.reading import LabelsError, read_file
from shadowserve.labels.taken import Taken
from shadowserve.lane.steady import WORKER
from shadowserve.state import arrival, counters, fed
from shadowserve.state.deployment import Deployment
from shadowserve.state.lane_condition import condition
from shadowserve.state.lane_reading import snapshot
from shadowserve.state.places import Places
from shadowserve.supervisor.allowance import Allowance
from shadowserve.supervisor.child import Child
from shadowserve.supervisor.keeping import Keeper
from shadowserve.supervisor.orphans import Sweeper
from shadowserve.supervisor.processes import Processes
from shadowserve.supervisor.stop_signals import StopSignals
from shadowserve.supervisor.watch import LaneWatch

TURN_S = 0.05
CHORES_S = 0.5
END_S = 20.0
MOST_DEATHS = 5
"""Of the feeder, in a row and without a request fed."""
ARRIVAL_S = 60.0
"""How long evidence is waited for while nothing of it arrives."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rescoring has come.

    Parameters
    ----------
    scored : int
        Requests that every lane has dealt with.
    fed : int
        Requests that lie in its journal, or have lain there.
    total : int or None
        How many there are, as far as that is known.
    """

    scored: int
    fed: int
    total: int | None


class StoppedError(Exception):
    """Somebody asked for the end; the same command goes on from here."""


@dataclass(slots=True)
class Rescoring:
    """Everything that one `rescore` runs.

    Parameters
    ----------
    places, deployment, processes
        Of the rescoring's own state directory, which is claimed.
    expected : int or None
        How many requests the source says that it holds.
    say : callable
        Tells the user, one line a call.
    told : callable
        Is told the progress, twice a second.
    """

    places: Places
    deployment: Deployment
    processes: Processes
    expected: int | None
    say: Callable[[str], None]
    told: Callable[[Progress], None]
    lanes: list[LaneWatch] = field(default_factory=list)
    stop_signals: StopSignals = field(default_factory=StopSignals)
    _feeder: Child = field(init=False)
    _evidence: Child = field(init=False)
    _keeper: Keeper = field(init=False)
    _deaths: int = 0
    _fed: int = 0

    def __post_init__(self) -> None:
        self._feeder = self.processes.feeder()
        self._evidence = self.processes.evidence()
        self._keeper = Keeper(self.places.journal, 2**62, self.say)

    def run(self) -> Taken | None:
        """Score all that is asked for; return what became of the labels, if there are any.

        Raises
        ------
        ShadowserveError
            If the source cannot be read, or a lane cannot work; what was scored stays.
        StoppedError
            If a signal came.
        """
        self.stop_signals.heed()
        sweeper = Sweeper(self.processes.start_token)
        try:
            with self._running():
                self._until(self._is_scored)
                for watch in self.lanes:
                    watch.child.end(deadline_s=END_S)
                self._keep()
                labels = self._labels()
                self._until_arrived()
            if not outstanding(
                self.places, self.deployment
            ):  # else the same command brings the rest
                self.places.rescored_whole.touch(mode=0o600)
            return labels
        finally:
            sweeper.close()

    def progress(self) -> Progress:
        """Look how far it has come."""
        cursors = [snapshot(one.places.state, whole=False).cursor for one in self.lanes]
        total = fed.total(self.places)
        return Progress(
            min((cursor.get(WORKER, 0) for cursor in cursors), default=0),
            counters.read(self.places.counters(WORKER)).sequence,
            self.expected if total is None else total,
        )

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        """Let all processes work for the length of a block."""
        self.places.feeding.unlink(missing_ok=True)
        self.places.crowded.unlink(missing_ok=True)
        if fed.total(self.places) is None:
            self._feeder.start()
        n = len(self.deployment.lanes)
        self.lanes = [self.processes.lane(name, lanes=n) for name in self.deployment.lanes]
        for watch in self.lanes:
            watch.say = self.say
            watch.allowance = Allowance(self.processes.settings.lane_memory, self._scoring, list)
            watch.start()
        self._evidence.start()
        try:
            yield
        finally:
            self._feeder.end(deadline_s=END_S)
            for child in (*(watch.child for watch in self.lanes),):
                child.signal(signal.SIGTERM)
            for watch in self.lanes:
                watch.child.end(deadline_s=END_S)
            self._evidence.end(deadline_s=END_S)

    def _scoring(self) -> int:
        n = len(self.lanes)
        return sum(self.processes.lane_processes(one.name, lanes=n) for one in self.lanes)

    def _until(self, over: Callable[[Progress], bool]) -> None:
        """Look after everything until that is so."""
        chores = 0.0
        while True:
            if self.stop_signals.n:
                raise StoppedError
            for watch in self.lanes:
                watch.look()
            self._look_at_feeder()
            if not self._evidence.running:
                self._evidence.start()
            if time.monotonic() >= chores:
                chores = time.monotonic() + CHORES_S
                self._keep()
                progress = self.progress()
                self.told(progress)
                self._refuse_degraded()
                if over(progress):
                    return
            time.sleep(TURN_S)

    def _is_scored(self, progress: Progress) -> bool:
        total = fed.total(self.places)
        return total is not None and progress.scored >= total

    def _refuse_degraded(self) -> None:
        for watch in self.lanes:
            state, reason = condition(watch.places)
            if watch.degraded or state == "degraded":
                raise UnreachableError(
                    f"{watch.name} cannot go on: {reason} What was scored is kept; the same command goes on from there."
                )

    def _look_at_feeder(self) -> None:
        """Start a feeder that died again; end with why it gave up."""
        code = self._feeder.exit_code
        if code is None or fed.total(self.places) is not None:
            return
        if self.places.feeding.exists():
            told = json.loads(self.places.feeding.read_text())
            error = ShadowserveError(told["message"])
            error.exit_code = told["exit_code"]
            raise error
        now = counters.read(self.places.counters(WORKER)).sequence
        self._deaths = self._deaths + 1 if now == self._fed else 1
        self._fed = now
        if self._deaths >= MOST_DEATHS:
            raise UnreachableError(
                f"The requests cannot be read on behind {now:,} ({ending(code)}). {self._feeder.log} says more."
            )
        self._feeder.start()

    def _keep(self) -> None:
        """Delete what every lane has scored: values are kept no longer than they are needed."""
        cursors = [snapshot(one.places.state, whole=False).cursor for one in self.lanes]
        counted = counters.read(self.places.counters(WORKER)).sequence
        self._keeper.keep(cursors=cursors, counted={WORKER: counted})

    def _labels(self) -> Taken | None:
        """Hand in the labels that the table holds."""
        path: Path = self.places.label_rows
        if not path.exists():
            return None
        rows = read_file(path, id_column="request_id", label_column="label")
        try:
            return take(self.places, self.deployment, rows)
        except LabelsError as error:
            self.say(f"Labels         none was taken: {error}")
            return None

    def _until_arrived(self) -> None:
        """Wait until evidence lies in MLflow, or does not get on."""
        left, since = None, time.monotonic()
        while now := outstanding(self.places, self.deployment):
            if self.stop_signals.n:
                raise StoppedError
            if now != left:
                left, since = now, time.monotonic()
            seen = arrival.read(self.places.arrival)
            if seen.troubled or time.monotonic() - since > ARRIVAL_S:
                return
            if not self._evidence.running:
                self._evidence.start()
            time.sleep(0.2)
