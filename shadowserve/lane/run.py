"""The lane's loop: read the journal, score, compare, remember, commit.

What is in hand is marked before it is scored. Everything learnt is committed with the cursor, so a
lane killed at any instant goes on where it was. A request that was in hand at a death is tried once
more, alone; the second death is its outcome.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import orjson

from shadowserve.comparison import memory
from shadowserve.comparison.bursts import ControlTime, burst_of
from shadowserve.comparison.comparing import Comparer, Scoring
from shadowserve.comparison.learned import Learned
from shadowserve.faults import fault_of, tell
from shadowserve.journal.reader import JournalReader
from shadowserve.lane import salvage, windows
from shadowserve.lane.again import Second
from shadowserve.lane.company import Company
from shadowserve.lane.deaths import FATAL, Deaths, ended
from shadowserve.lane.intake import BEHIND_NS, InputSizes, LargeInputs, Turn, turn
from shadowserve.lane.lock import ScoringLock
from shadowserve.lane.observing import Observer, Typed
from shadowserve.lane.open_window import OpenWindow
from shadowserve.lane.recording import Recorder, burst_row
from shadowserve.lane.refused import RefusedRequests
from shadowserve.lane.rescoring import Rescorer
from shadowserve.lane.totals import totals
from shadowserve.lane.turns import Answering, Asking
from shadowserve.lane.warmth import Warmth
from shadowserve.records import (
    Comparison,
    Observation,
    Outcome,
    Request,
    Role,
    Times,
    sequence_of,
    worker_of,
)
from shadowserve.schema.disclosure import Disclosure
from shadowserve.scorer.featurization.categories import Categories
from shadowserve.state import pace
from shadowserve.state.deployment import LaneName
from shadowserve.state.inflight import TYPING, InFlight
from shadowserve.state.lane_condition import Condition, condition
from shadowserve.state.lane_file import LaneState, Progress
from shadowserve.state.lane_reading import snapshot
from shadowserve.state.metrics import RoleMetrics
from shadowserve.state.pauses import Pauses
from shadowserve.state.places import LanePlaces, Places
from shadowserve.statistics.switchback import Block, Schedule
from shadowserve.statistics.units import unit_of

_log = logging.getLogger(__name__)

READ_REQUESTS = 64
BATCH_ROWS = 64
BATCH_MS = 1_000.0
COMMIT_NS = 400 * 10**6
IDLE_S = 0.01
WARMUP_REQUESTS = 20
MEMORY_LOOK = 16


@dataclass(slots=True)
class Lane:
    """One lane at work.

    Parameters
    ----------
    name : LaneName
        Role and version.
    places : Places
        The state directory.
    observer, comparer, rescorer
        Score, compare, and score again.
    learned : Learned
        As of the state file's cursor.
    disclosure : Disclosure
        What may be kept of the values.
    schedule : Schedule
        When lanes stand still, so that callers' times without them are known.
    warmth : Warmth
        Whether what is timed now may be paired.
    limit : callable
        The cursor that this lane must not pass; the control follows the challengers.
    entity : str or None
        Column that names whom a request is for.
    lock : ScoringLock or None
        None where each lane has a CPU of its own.
    seconds : sequence of Second
        What scores some requests a second time later.
    asking : Asking or None
        A challenger's way to take turns with the control.
    answering : Answering or None
        The control's way to take turns with the challengers.
    company : Company or None
        Scores recorded requests among each other; None where nothing may be scored again.
    refused : RefusedRequests or None
        Tries what the champion refused by a challenger's signature.
    categories : mapping of column to Categories
        What the version knows of its columns of categories.
    """

    name: LaneName
    places: Places
    observer: Observer
    comparer: Comparer
    rescorer: Rescorer | None
    learned: Learned
    state: LaneState
    tail: JournalReader
    inflight: InFlight
    metrics: RoleMetrics
    disclosure: Disclosure
    schedule: Schedule
    warmth: Warmth
    limit: Callable[[], Mapping[int, int] | None] = lambda: None
    stopping: Callable[[], bool] = lambda: False
    entity: str | None = None
    lock: ScoringLock | None = None
    seconds: Sequence[Second] = ()
    asking: Asking | None = None
    answering: Answering | None = None
    company: Company | None = None
    refused: RefusedRequests | None = None
    categories: Mapping[str, Categories] = field(default_factory=dict)
    first_state: tuple[str, str | None] = ("running", None)
    large: LargeInputs = field(default_factory=LargeInputs)
    window: OpenWindow = field(init=False)
    deaths: Deaths = field(init=False)
    sizes: InputSizes = field(init=False)
    pauses: Pauses = field(init=False)
    remembered: Mapping[str, bytes] = field(init=False)
    _progress: Progress = field(default_factory=Progress)
    _scorings: list[Scoring] = field(default_factory=list)
    _skipped: list[Comparison] = field(default_factory=list)
    _since_start: int = 0
    _committed_ns: int = 0
    _condition: Condition = field(default=Condition("starting"))

    @property
    def lane_places(self) -> LanePlaces:
        """The lane's own files."""
        return self.places.lane(self.name.role, self.name.version)

    def run(self) -> None:
        """Work until asked to stop; then commit, and close the window."""
        self._take_up()
        while not self.stopping():
            self._look_at_refused()
            if not self.turn():
                self._idle()
        self._flush()
        self._look_at_refused(at_once=True)
        self.window.close(totals=self._totals())

    def turn(self) -> bool:
        """Read and deal with what has come; False if nothing had."""
        still = self.schedule.block(time.time_ns())[1] is Block.STILL
        if still and not self.places.draining.exists():
            return False
        batch = self.tail.read(READ_REQUESTS, upto=self.limit())
        if batch.deleted:
            self._progress.count(Outcome.SKIPPED_BUDGET, batch.deleted)
        if batch.lost:
            self._progress.count(Outcome.SKIPPED_LOST, batch.lost)
        wanted = self._outside_pauses(batch.requests)
        if wanted:
            held = self.lock.held(meanwhile=self._answer) if self.lock else nullcontext(True)
            with held as undisturbed:
                self._score(wanted, undisturbed=undisturbed)
                self._again(wanted)
        self._progress.cursor = batch.cursor
        if batch.requests or batch.deleted or batch.lost:
            self.window.begin()
        if self._is_due(idle=not batch.requests):
            self._flush()
        if self.window.is_full() and self.window.is_full(wider := pace.factor(self.places.wider)):
            self._flush()
            self.window.close(merged=wider - 1, totals=self._totals())
        return bool(batch.requests)

    def _look_at_refused(self, *, at_once: bool = False) -> None:
        """Try what the champion refused by this version's signature, and remember it."""
        if self.refused is None or not self.refused.look(self.learned.refused, at_once=at_once):
            return
        told = orjson.dumps(self.learned.refused.state())
        self.remembered = {**self.remembered, "refused": told}
        self.state.commit(Progress(summaries=dict(self.remembered)))

    def _totals(self) -> dict[str, float]:
        return totals(self.learned, role=self.name.role.value)

    def _outside_pauses(self, requests: Sequence[Request]) -> Sequence[Request]:
        """Return what did not come in a pause; the rest is counted as skipped."""
        if not requests or not (self.pauses.lasting or self.pauses.over()):
            return requests
        wanted = [one for one in requests if not self.pauses.cover(one.arrived_wall_ns)]
        if len(wanted) < len(requests):
            self._progress.count(Outcome.SKIPPED_PAUSED, len(requests) - len(wanted))
        return wanted

    def _idle(self) -> None:
        """Wait a little for requests, or for a challenger that asks for a turn."""
        if self.answering is None:
            time.sleep(IDLE_S)
        else:
            self.answering.serve(IDLE_S)

    def _answer(self) -> None:
        """Take the turns that challengers ask for by now."""
        if self.answering is not None:
            self.answering.serve()

    def refuses(self, place: int) -> bool:
        """Whether a request must not be scored now, before its turn in the journal.

        Where calls are not repeated, none is scored that was scored already.
        """
        passed = sequence_of(place) <= self.tail.cursor.get(worker_of(place), 0)
        once = self.rescorer is None and passed
        return once or self.deaths.of(place) > 0 or self.places.paused.exists()

    def _take_up(self) -> None:
        """Go on where the last process stopped, and say that the lane runs."""
        self.pauses = Pauses(self.places)
        self.window = OpenWindow(self.state, self.lane_places.parts, self.name.role)
        self.window.take_up()
        self.deaths = Deaths(self.state, self.lane_places.death)
        self.sizes = InputSizes(self.learned.sizes)
        self.remembered = self.state.summaries() or self.learned.state()
        self._committed_ns = time.monotonic_ns()
        self.say(*self.first_state)

    def say(self, state: str, reason: str | None) -> None:
        """Write the lane's state and reason for status, where they changed."""
        if (state, reason) != self._condition:
            self._condition = Condition(state, reason)
            self._condition.write(self.lane_places)

    def _score(self, requests: Sequence[Request], *, undisturbed: bool) -> None:
        """Score requests in order, alone or together, and keep what was seen for the next flush.

        Beside another lane on one core nothing is timed that could be paired.
        """
        self.warmth.cool()
        behind = time.time_ns() - requests[0].arrived_wall_ns > BEHIND_NS
        together: list[tuple[Typed, Turn]] = []
        for request in requests:
            if request.body is None:
                self._progress.count(Outcome.SAMPLED_OUT)
                continue
            died = self.deaths.of(request.position)
            if died >= FATAL:
                self._poisoned(request)
                continue
            self.inflight.mark([request.position], step=TYPING)  # a type hint's validators run here
            typed = self.observer.typed(request)
            sizes = self.sizes.of(typed.rows)
            what = turn(
                request.position,
                role=self.name.role,
                large=self.large.is_large(sizes) or died > 0,
                behind=behind,
                batched=self._batches(),
            )
            self._answer()
            if not what.score:
                self._progress.count(Outcome.SAMPLED_OUT)
                self._offer(typed, *_as_recorded(request))
            elif what.alone or (typed.rows is not None and typed.rows.params):
                together = self._score_together(together)
                self._score_alone(typed, what, sizes, undisturbed=undisturbed, died=died > 0)
            else:
                together.append((typed, what))
                if sum(t.rows.n_rows if t.rows else 1 for t, _ in together) >= self._batch_rows():
                    together = self._score_together(together)
        self._score_together(together)
        self.inflight.clear()

    def _again(self, requests: Sequence[Request]) -> None:
        """Score a second time what is due for it."""
        for one in self.seconds:
            try:
                one.read(requests)
                one.due()
            except Exception as error:  # what is asked a second time is nobody's outcome
                self._second_failed(error)
        self.inflight.clear()

    def _second_failed(self, error: Exception) -> None:
        fault = fault_of(error, step="again")
        tell(_log, "scoring again failed: %s at %s", fault.type, fault.frame)

    def _score_alone(
        self,
        typed: Typed,
        what: Turn,
        sizes: Mapping[str, int],
        *,
        undisturbed: bool,
        died: bool,
    ) -> None:
        """Score one request by itself; within a burst in turn with the other lane."""
        place = typed.request.position
        taken = self.answering.taken(place) if self.answering is not None else None
        if taken is not None:
            self._keep(typed, taken.observation, what, sizes, warm=taken.warm)
            return
        warm, pair = False, None
        in_burst = undisturbed and not died and burst_of(place) is not None

        def score() -> Observation:
            nonlocal warm
            warm = in_burst and self.warmth.reach()
            self._mark([typed])
            return self.observer.alone(typed)

        def score_in_turn() -> Observation:
            seen = score()
            self.inflight.clear()  # the other's turn is no work of this lane
            return seen

        if self.asking is not None and in_burst and typed.rows is not None:
            observation, pair = self.asking.turn(place, score_in_turn)
            self._mark([typed])  # it may be scored once more
        else:
            observation = score()
        self.warmth.scored(typed, observation)
        self._keep(typed, observation, what, sizes, warm=warm, again=not died, pair=pair)
        if not died:
            self._offer(typed, observation.answer, observation.times)

    def _batches(self) -> bool:
        """Whether this lane may score several requests in one call, which no caller sees."""
        if self.company is None:
            return self.observer.scorer.batched
        return self.company.allows

    def _offer(self, typed: Typed, answer: bytes | None, times: Times | None) -> None:
        """Let a request that was answered alone be tried in company; not where times are paired."""
        if self.company is None or answer is None or times is None or typed.rows is None:
            return
        if times.batch_requests > 1 or burst_of(typed.request.position) is not None:
            return
        if self.company.offer(typed, answer, times.work_ns):
            self.warmth.cool()

    def _batch_rows(self) -> int:
        """Return how many rows share a call: never so many that the deadline is for the batch."""
        if not self.learned.busy_ms.n:
            return BATCH_ROWS
        usual_ms = max(float(self.learned.busy_ms.summary()["mean"]), 1e-3)
        return max(1, min(BATCH_ROWS, int(BATCH_MS / usual_ms)))

    def _score_together(self, batch: list[tuple[Typed, Turn]]) -> list[tuple[Typed, Turn]]:
        if batch:
            self._mark([typed for typed, _ in batch])
            seen = self.observer.together([typed for typed, _ in batch])
            for (typed, what), observation in zip(batch, seen, strict=True):
                self._keep(typed, observation, what, self.sizes.of(typed.rows))
        return []

    def _mark(self, batch: Sequence[Typed]) -> None:
        self.inflight.mark([typed.request.position for typed in batch])

    def _keep(
        self,
        typed: Typed,
        observation: Observation,
        what: Turn,
        sizes: Mapping[str, int],
        *,
        warm: bool = False,
        again: bool = True,
        pair: ControlTime | None = None,
    ) -> None:
        times = observation.times
        alone = what.alone and what.timed and times is not None and times.batch_requests == 1
        warmup = self._since_start < WARMUP_REQUESTS
        scoring = Scoring(
            request=typed.request,
            observation=observation,
            rows=typed.rows,
            sizes=self.disclosure.sizes(sizes),
            alone=alone,
            warmup=warmup,
            warm=warm,
            inclusion=what.inclusion,
            unit=self._unit(typed),
            pair=pair,
        )
        self._since_start += 1
        self._scorings.append(scoring)
        for second in self.seconds:
            try:
                second.take(scoring)
            except Exception as error:
                self._second_failed(error)
        if self._since_start % MEMORY_LOOK == 0:
            memory.note(self.learned.memory, self.learned.requests + len(self._scorings))
        if times is not None and alone and not warmup:
            self.metrics.observe(times)
        if (
            again
            and self.rescorer is not None
            and typed.rows is not None
            and observation.fault is None
        ):
            self.rescorer.offer(typed, observation, self.learned.noise)

    def _unit(self, typed: Typed) -> int | None:
        """Return whom a request is for: as its header said, or else a column."""
        if typed.request.unit is not None:
            return typed.request.unit
        return unit_of(typed.rows, entity=self.entity, salt=self.disclosure.salt)

    def _poisoned(self, request: Request) -> None:
        """Record the outcome of a request that two processes did not survive."""
        sizes = self.disclosure.sizes(self.sizes.of(self.observer.typed(request, tried=False).rows))
        poison = self.deaths.poison(request, sizes=sizes, steps=self.observer.scorer.step_names)
        comparison = ended(poison, request, window=self.window.number)
        self._progress.count(comparison.outcome)
        self.learned.failures.poisoned(poison)
        self._skipped.append(comparison)

    def _is_due(self, *, idle: bool) -> bool:
        waited = time.monotonic_ns() - self._committed_ns
        has_news = bool(self._scorings or self._skipped or self._progress.outcomes)
        return has_news and (waited >= COMMIT_NS or (idle and waited >= COMMIT_NS // 4))

    def _flush(self) -> None:
        """Compare and remember what was scored, and commit it with the cursor."""
        self._committed_ns = time.monotonic_ns()
        if not (
            self._scorings or self._skipped or self._progress.outcomes or self._progress.cursor
        ):
            return
        comparisons = salvage.learn(self, self._scorings, self._skipped)
        for one in comparisons:
            self._progress.count(one.outcome)
        rows = map(burst_row, self._scorings)
        self._progress.bursts += [row for row in rows if row is not None]
        self._progress.summaries = dict(self.remembered)
        self.state.commit(self._progress)
        self.window.n += len(self._progress.comparisons)
        self._settle_condition(comparisons)
        self._scorings, self._skipped, self._progress = [], [], Progress()

    def learn(
        self, scorings: Sequence[Scoring], skipped: Sequence[Comparison] = ()
    ) -> list[Comparison]:
        """Compare what was scored, and remember it; return one comparison a scoring.

        `remembered` becomes what it was remembered as; after a failure nothing is half remembered
        once `forget` was called.
        """
        side = self.comparer.compare(scorings)
        recorder = Recorder(self.observer.scorer, self.tail, self.window.number)
        comparisons = recorder.comparisons(scorings, side, self.learned.units)
        self.learned.add(
            [*comparisons, *skipped],
            scorings=scorings,
            side=side,
            divergence=self.comparer.divergence,
            champion_columns=self._champion_columns(scorings),
            inner=_inner(scorings),
            disclosure=self.disclosure,
        )
        self.learned.unseen.add(
            (one.rows for one in scorings), self.categories, disclosure=self.disclosure
        )
        self.learned.notes = list(self.observer.scorer.notes)
        for one in comparisons:
            self.learned.harm.add(*self.schedule.block(one.arrived_wall_ns), one.response_ms)
        everything = [*comparisons, *skipped]
        rows = [(one.position, one.window, windows.encode(one)) for one in everything]
        self.remembered = self.learned.state()
        self._progress.comparisons += rows
        cells = self.learned.outputs.new_memberships()
        self._progress.cells += cells if self.name.role is Role.CHALLENGER else ()
        return comparisons

    def forget(self) -> None:
        """Go back to what was remembered last, after something could not be taken in whole."""
        self.learned = Learned.from_state(self.remembered)
        self.sizes = InputSizes(self.learned.sizes)
        if self.learned.outputs.tally is not None:
            self.comparer.resume(self.learned.outputs.tally)

    def _champion_columns(self, scorings: Sequence[Scoring]) -> dict[str, tuple[str, ...]]:
        workers = {worker_of(one.request.position) for one in scorings}
        return {name: columns for worker in workers for name, columns in self.tail.steps(worker)}

    def _settle_condition(self, comparisons: Sequence[Comparison]) -> None:
        """Say `incompatible` while every request lacks a column, `running` once one fits."""
        if any(one.outcome is Outcome.BOTH_OK for one in comparisons):
            self.say("running", None)
            return
        lacking = [
            one.fault.column
            for one in comparisons
            if one.fault and one.fault.type.endswith(":missing_column")
        ]
        if lacking and self.learned.outputs.disagreement.n == 0:
            self.say("incompatible", f"missing_column:{lacking[-1]}")


def _as_recorded(request: Request) -> tuple[bytes | None, Times | None]:
    """Return the champion's answer to a request and its times; None for one that failed."""
    if request.status != 200 or not request.times:
        return None, None
    return request.answer, Times.unpack(request.times)


def _inner(scorings: Sequence[Scoring]) -> dict[str, tuple[str, ...]]:
    return {name: columns for one in scorings for name, columns, _, _ in one.observation.inner}


def follow(
    places: Places, challengers: Sequence[LaneName]
) -> Callable[[], Mapping[int, int] | None]:
    """Return the control's limit: the least advanced challenger that is at work."""

    def limit() -> Mapping[int, int] | None:
        lanes = [places.lane(name.role, name.version) for name in challengers]
        active = [lane for lane in lanes if condition(lane).state in ("running", "starting")]
        if not active:
            return None
        cursors = [snapshot(lane.state, whole=False).cursor for lane in active]
        workers = {worker for cursor in cursors for worker in cursor}
        return {worker: min(c.get(worker, 0) for c in cursors) for worker in workers}

    return limit
