"""Scoring a lane's requests in order: alone, together, or one after the other with the control.

What is in hand is marked before it is scored. A request that was in hand at a death is tried once more,
alone; the second death is its outcome.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence

from shadowserve.comparison import memory
from shadowserve.comparison.bursts import ControlTime, burst_of
from shadowserve.comparison.comparing import Scoring
from shadowserve.faults import fault_of, tell
from shadowserve.lane.commits import Commits
from shadowserve.lane.deaths import FATAL, Deaths, ended
from shadowserve.lane.intake import BEHIND_NS, LargeInputs, Turn, turn
from shadowserve.lane.observing import Typed
from shadowserve.lane.parts import Parts
from shadowserve.records import Observation, Outcome, Request, Times, sequence_of, worker_of
from shadowserve.state.inflight import TYPING
from shadowserve.statistics.units import unit_of

_log = logging.getLogger(__name__)

BATCH_ROWS = 64
BATCH_MS = 1_000.0
WARMUP_REQUESTS = 20
MEMORY_LOOK = 16


class Execution:
    """Scores requests and hands on what was seen for the next commit."""

    def __init__(self, parts: Parts, commits: Commits) -> None:
        self._parts, self._commits = parts, commits
        self.large = LargeInputs()
        self._since_start = 0
        self.deaths = Deaths(parts.state, parts.files.death)

    def refuses(self, place: int) -> bool:
        """Whether a request must not be scored now, before its turn in the journal.

        Where calls are not repeated, none is scored that was scored already.
        """
        passed = sequence_of(place) <= self._parts.tail.cursor.get(worker_of(place), 0)
        once = self._parts.rescorer is None and passed
        return once or self.deaths.of(place) > 0 or self._parts.places.paused.exists()

    def answer(self) -> None:
        """Take the turns that challengers ask for by now."""
        if self._parts.answering is not None:
            self._parts.answering.serve()

    def score(self, requests: Sequence[Request], *, undisturbed: bool) -> None:
        """Score requests in order, alone or together, and keep what was seen for the next flush.

        Beside another lane on one core nothing is timed that could be paired.
        """
        self._parts.warmth.cool()
        behind = time.time_ns() - requests[0].arrived_wall_ns > BEHIND_NS
        together: list[tuple[Typed, Turn]] = []
        for request in requests:
            if request.body is None:
                self._commits.progress.count(Outcome.SAMPLED_OUT)
                continue
            died = self.deaths.of(request.position)
            if died >= FATAL:
                self._poisoned(request)
                continue
            # While it is typed, too: a type hint's validators are the model's code.
            self._parts.inflight.mark([request.position], step=TYPING)
            typed = self._parts.observer.typed(request)
            sizes = self._commits.sizes.of(typed.rows)
            what = turn(
                request.position,
                role=self._parts.name.role,
                large=self.large.is_large(sizes) or died > 0,
                behind=behind,
                batched=self.batches(),
            )
            self.answer()
            if not what.score:
                self._commits.progress.count(Outcome.SAMPLED_OUT)
                self._offer(typed, *_as_recorded(request))
            elif what.alone or (typed.rows is not None and typed.rows.params):
                together = self._score_together(together)
                self._score_alone(typed, what, sizes, undisturbed=undisturbed, died=died > 0)
            else:
                together.append((typed, what))
                if sum(t.rows.n_rows if t.rows else 1 for t, _ in together) >= self.batch_rows():
                    together = self._score_together(together)
        self._score_together(together)
        self._parts.inflight.clear()

    def again(self, requests: Sequence[Request]) -> None:
        """Score a second time what is due for it."""
        for one in self._parts.seconds:
            try:
                one.read(requests)
                one.due()
            except Exception as error:  # what is asked a second time is nobody's outcome
                self._second_failed(error)
        self._parts.inflight.clear()

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
        taken = self._parts.answering.taken(place) if self._parts.answering is not None else None
        if taken is not None:
            self._keep(typed, taken.observation, what, sizes, warm=taken.warm)
            return
        warm, pair = False, None
        in_burst = undisturbed and not died and burst_of(place) is not None

        def score() -> Observation:
            nonlocal warm
            warm = in_burst and self._parts.warmth.reach()
            self._mark([typed])
            return self._parts.observer.alone(typed)

        def score_in_turn() -> Observation:
            seen = score()
            self._parts.inflight.clear()  # the other's turn is no work of this lane
            return seen

        if self._parts.asking is not None and in_burst and typed.rows is not None:
            observation, pair = self._parts.asking.turn(place, score_in_turn)
            self._mark([typed])  # it may be scored once more
        else:
            observation = score()
        self._parts.warmth.scored(typed, observation)
        self._keep(typed, observation, what, sizes, warm=warm, again=not died, pair=pair)
        if not died:
            self._offer(typed, observation.answer, observation.times)

    def batches(self) -> bool:
        """Whether this lane may score several requests in one call, which no caller sees."""
        if self._parts.company is None:
            return self._parts.observer.scorer.batched
        return self._parts.company.allows

    def _offer(self, typed: Typed, answer: bytes | None, times: Times | None) -> None:
        """Let a request that was answered alone be tried in company; not where times are paired."""
        if self._parts.company is None or answer is None or times is None or typed.rows is None:
            return
        if times.batch_requests > 1 or burst_of(typed.request.position) is not None:
            return
        if self._parts.company.offer(typed, answer, times.work_ns):
            self._parts.warmth.cool()

    def batch_rows(self) -> int:
        """Return how many rows share a call: never so many that the deadline is for the batch."""
        if not self._commits.learned.busy_ms.n:
            return BATCH_ROWS
        usual_ms = max(float(self._commits.learned.busy_ms.summary()["mean"]), 1e-3)
        return max(1, min(BATCH_ROWS, int(BATCH_MS / usual_ms)))

    def _score_together(self, batch: list[tuple[Typed, Turn]]) -> list[tuple[Typed, Turn]]:
        if batch:
            self._mark([typed for typed, _ in batch])
            seen = self._parts.observer.together([typed for typed, _ in batch])
            for (typed, what), observation in zip(batch, seen, strict=True):
                self._keep(typed, observation, what, self._commits.sizes.of(typed.rows))
        return []

    def _mark(self, batch: Sequence[Typed]) -> None:
        self._parts.inflight.mark([typed.request.position for typed in batch])

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
            sizes=self._parts.disclosure.sizes(sizes),
            alone=alone,
            warmup=warmup,
            warm=warm,
            inclusion=what.inclusion,
            unit=self._unit(typed),
            pair=pair,
        )
        self._since_start += 1
        self._commits.keep(scoring)
        for second in self._parts.seconds:
            try:
                second.take(scoring)
            except Exception as error:
                self._second_failed(error)
        if self._since_start % MEMORY_LOOK == 0:
            memory.note(self._commits.learned.memory, self._commits.n_requests)
        if times is not None and alone and not warmup:
            self._parts.metrics.observe(times)
        if (
            again
            and self._parts.rescorer is not None
            and typed.rows is not None
            and observation.fault is None
        ):
            self._parts.rescorer.offer(typed, observation, self._commits.learned.noise)

    def _unit(self, typed: Typed) -> int | None:
        """Return a request's entity: as its header said, or else its column."""
        if typed.request.unit is not None:
            return typed.request.unit
        return unit_of(typed.rows, entity=self._parts.entity, salt=self._parts.disclosure.salt)

    def _poisoned(self, request: Request) -> None:
        """Record the outcome of a request that two processes did not survive."""
        sizes = self._parts.disclosure.sizes(
            self._commits.sizes.of(self._parts.observer.typed(request, tried=False).rows)
        )
        poison = self.deaths.poison(
            request, sizes=sizes, steps=self._parts.observer.scorer.step_names
        )
        comparison = ended(poison, request, window=self._commits.window.number)
        self._commits.learned.failures.poisoned(poison)
        self._commits.skip(comparison)


def _as_recorded(request: Request) -> tuple[bytes | None, Times | None]:
    """Return the champion's answer to a request and its times; None for one that failed."""
    if request.status != 200 or not request.times:
        return None, None
    return request.answer, Times.unpack(request.times)
