"""Scoring a lane's requests in order: alone, together, or one after the other with the control.

What is in hand is marked before it is scored. A request that was in hand at a death is tried once more,
alone; the second death is its outcome.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

from shadowserve.comparison import memory
from shadowserve.comparison.bursts import blocks_of, burst_of
from shadowserve.comparison.comparing import Scoring
from shadowserve.faults import fault_of, tell
from shadowserve.lane import steady
from shadowserve.lane.batch_size import MOST_BYTES, BatchSize
from shadowserve.lane.block import Block, Work
from shadowserve.lane.commits import Commits
from shadowserve.lane.deaths import Deaths, ended
from shadowserve.lane.looking import Looking
from shadowserve.lane.observing import Typed
from shadowserve.lane.parts import Parts
from shadowserve.lane.ticket import Ticket
from shadowserve.records import Observation, Request, Times, sequence_of, worker_of
from shadowserve.state.inflight import TYPING
from shadowserve.statistics import spent
from shadowserve.statistics.measuring import Measuring

_log = logging.getLogger(__name__)

WARMUP_REQUESTS = 20
MEMORY_LOOK = 16
"""Requests after which it is looked what the process holds, once for all of a read."""


class Execution:
    """Scores requests and hands on what was seen for the next commit."""

    def __init__(self, parts: Parts, commits: Commits) -> None:
        self._parts, self._commits = parts, commits
        self._since_start = self._kept = 0
        self.deaths = Deaths(parts.state, parts.files.death)
        self._looking = Looking(parts, commits, self.deaths)
        if parts.rescorer is not None:
            parts.rescorer.during = partial(parts.clock.during, spent.AGAIN)
        if parts.steady is not None and self.deaths.waiting:
            parts.steady.shrink()
        self.size = BatchSize(memory_bytes=parts.memory_bytes, after_death=self.deaths.waiting)

    def refuses(self, place: int) -> bool:
        """Whether a request must not be scored now, before its turn in the journal.

        Where calls are not repeated, none is scored that was scored already.
        """
        passed = sequence_of(place) <= self._parts.tail.cursor.get(worker_of(place), 0)
        once = self._parts.rescorer is None and passed
        return once or self.deaths.of(place) > 0 or self._parts.places.paused.exists()

    def answer(self) -> None:
        """Take the turns that challengers ask for by now, and keep scorers at work."""
        self._hand_out()
        if self._parts.answering is not None:
            self._parts.answering.serve()

    def elsewhere(self, typed: Typed, by: int) -> Observation | None:
        """Score a request in another process than the first time; None where there is no other."""
        if self._parts.scorers is None:
            return None
        self._parts.inflight.clear()  # it is in a scorer's hands, who answers for it
        return self._parts.scorers.elsewhere(typed, by=by)

    def score(self, requests: Sequence[Request], *, undisturbed: bool) -> None:
        """Score requests, those alone first, and keep what was seen, in order, for the next flush."""
        self.finish(self.begin(requests, undisturbed=undisturbed))

    def begin(self, requests: Sequence[Request], *, undisturbed: bool) -> Block:
        """Score those requests that are scored alone, and hand out the others; `finish` takes them in.

        Beside another lane on one core nothing is timed that could be paired.
        """
        clock, block = self._parts.clock, Block(requests)
        if not requests:
            return block
        self._parts.warmth.cool()
        self._commits.pass_time()
        # Before anything is known of them: no cost decides about its own request.
        plans = {each: self._measuring.plan(each) for each in _blocks(requests)}
        shares = {each: self._share(each) for each in plans}
        self._parts.inflight.mark([one.position for one in requests], step=TYPING)
        with clock.during(spent.READ):
            block.work = self._looking.at(requests, plans, shares, block, batched=self.batches())
        self._measuring.read(sum(one.replay is None for one in requests) - block.thinned)
        alone = [one for one in block.work if one.is_alone]
        bursts = [one for one in alone if one.what.burst]
        if bursts:
            with self._silence(), clock.during(spent.ALONE):
                self._score_each(bursts, undisturbed=undisturbed)
        for batch in self._cut([w for w in block.work if w.what.score and not w.is_alone]):
            if not self._has_scorers or all(one.typed.rows is None for one in batch):
                with clock.during(spent.BATCH):
                    self.answer()
                    self._score_together(batch)
            else:
                self._submit(batch, block)
        with clock.during(spent.ALONE):
            self._score_each([w for w in alone if not w.what.burst], undisturbed=undisturbed)
        self._parts.inflight.clear()
        return block

    def finish(self, block: Block) -> None:
        """Wait for what was handed out, and keep what was seen, in order, for the next flush."""
        for ticket, batch in block.batches:
            self._collect(ticket, batch, block)
        for outcome, n in block.counts:
            if n:
                self._commits.progress.count(outcome, n)
        for request in block.poisoned:
            if request.replay is None:  # what is sent again was counted as that
                self._poisoned(request)
        # What is scored a second time meanwhile is told apart: measuring has a budget.
        with self._parts.clock.during(spent.RECORD):
            for one in block.work:
                request = one.typed.request
                # What is sent again was scored like any other, to load the lane; nothing of it is learnt.
                if request.position not in block.fatal and request.replay is None:
                    self._keep(one)
                self._hand_out()
        self._kept += len(block.work)
        if self._kept >= MEMORY_LOOK:
            self._kept = 0
            pid = self._parts.observer.scorer.pid
            memory.note(self._commits.learned.memory, self._commits.n_requests, pid=pid)
        self._parts.inflight.clear()

    @property
    def _has_scorers(self) -> bool:
        return self._parts.scorers is not None and self._parts.scorers.any_at_work

    def _submit(self, batch: list[Work], block: Block) -> None:
        if self._parts.scorers is not None:
            block.batches.append((self._parts.scorers.submit([w.typed for w in batch]), batch))

    def _score_each(self, work: Sequence[Work], *, undisturbed: bool) -> None:
        for one in work:
            self.answer()
            self._score_alone(one, undisturbed=undisturbed)

    def _silence(self) -> AbstractContextManager[None]:
        """Let no scorer work meanwhile: in a burst nothing may run on its core but the two that are paired."""
        scorers = self._parts.scorers
        return nullcontext() if scorers is None else scorers.silence(self.answer)

    def _hand_out(self) -> None:
        if self._parts.scorers is not None:
            self._parts.scorers.turn()

    def _collect(self, ticket: Ticket, batch: Sequence[Work], block: Block) -> None:
        """Take in a batch that was handed out; scored here, if no scorer has begun it."""
        scorers = self._parts.scorers
        if scorers is None:
            return
        with self._parts.clock.during(spent.IDLE):
            scorers.collect(ticket, score=self._score_here, meanwhile=self.answer)
        n_rows = sum(one.n_rows for one in batch)
        self._measuring.together(ticket.spent_ns, rows=n_rows)
        self.size.took(n_rows, ticket.spent_ns / 1e6)
        for one in batch:
            place = one.typed.request.position
            if place in ticket.fatal:
                block.fatal.add(place)
                block.poisoned.append(one.typed.request)
            else:
                one.seen, one.warmup = ticket.seen[place], self._warms_up()
                one.by = ticket.by.get(place, 0)

    def _score_here(self, batch: Sequence[Typed]) -> Sequence[Observation]:
        with self._parts.clock.during(spent.BATCH):
            seen = self._parts.observer.together(batch, hold=self._parts.inflight.mark)
            self._parts.inflight.clear()
        return seen

    def _share(self, block: tuple[int, int]) -> float:
        return 1.0 if self._parts.backlog is None else self._parts.backlog.share(block)

    @property
    def _measuring(self) -> Measuring:
        return self._commits.learned.measuring

    def again(self, requests: Sequence[Request]) -> None:
        """Score a second time what is due for it: few, until enough is known, and alarms wait for them."""
        if not self._parts.seconds:
            return
        with self._parts.clock.during(spent.AGAIN):
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

    def _score_alone(self, one: Work, *, undisturbed: bool) -> None:
        """Score one request by itself; within a burst in turn with the other lane."""
        typed, place = one.typed, one.typed.request.position
        taken = self._parts.answering.taken(place) if self._parts.answering is not None else None
        one.warmup = self._warms_up()
        if taken is not None:
            one.seen, one.warm = taken.observation, taken.warm
            self._account(one, taken.spent_ns)
            return
        in_turn = undisturbed and not one.died and one.what.burst

        def score() -> Observation:
            one.warm = in_turn and self._parts.warmth.reach()
            self._mark([typed])
            return self._parts.observer.alone(typed)

        def score_in_turn() -> Observation:
            seen = score()
            self._parts.inflight.clear()  # the other's turn is no work of this lane
            return seen

        asking = self._parts.asking if in_turn and typed.rows is not None else None
        if asking is not None:
            with self._parts.clock.during(spent.IDLE):
                asking.begin(place)
        began_ns = time.monotonic_ns()
        if asking is not None:
            one.seen, one.pair = asking.turn(place, score_in_turn)
        else:
            one.seen = score()
        self._parts.warmth.scored(typed, one.seen)
        self._account(one, time.monotonic_ns() - began_ns)

    def _warms_up(self) -> bool:
        """Whether the process is among its first requests, in the order in which it scores."""
        self._since_start += 1
        return self._since_start <= WARMUP_REQUESTS and self._parts.steady is None

    def _account(self, one: Work, spent_ns: int) -> None:
        """Say what it took to score a request alone, to whom the budget is kept."""
        rows, times = one.typed.rows, one.seen.times
        if rows is None or not one.what.alone or one.typed.request.replay is not None:
            return
        if one.warmup:  # what it costs is not what others will
            self._measuring.timed += 1
            return
        # Where scorers are at work, all of it is excess: one of them would have scored it meanwhile.
        here = times is not None and not self._has_scorers
        batched = here and self.batches()
        if here and not batched and times is not None:
            spent_ns -= times.work_ns  # which is its way to be scored: no excess
        self._measuring.alone(
            max(0, spent_ns),
            rows=rows.n_rows if batched else 0,
            burst=one.what.burst,
            large=one.large and not one.what.burst,
        )

    def batches(self) -> bool:
        """Whether this lane may score several requests in one call, which no caller sees."""
        if self._parts.company is None:
            return self._parts.observer.scorer.batched
        return self._parts.company.allows

    def _offer(self, typed: Typed, answer: bytes | None, times: Times | None) -> None:
        """Let a request that was answered alone be tried in company; not where times are paired."""
        if self._parts.company is None or answer is None or times is None or typed.rows is None:
            return
        if self._parts.steady is not None:  # what is shared must not hang on when that was shown
            return
        if times.batch_requests > 1 or burst_of(typed.request.position) is not None:
            return
        with self._parts.clock.during(spent.AGAIN):
            if self._parts.company.offer(typed, answer, times.work_ns):
                self._parts.warmth.cool()

    def batch_rows(self) -> int:
        """Return how many rows share a call: never so many that the deadline is for the batch."""
        if self._parts.steady is not None and self._parts.steady.call_rows is not None:
            return self._parts.steady.call_rows
        return self.size.rows(alone_ms=self._commits.learned.usual_ms())

    def _cut(self, work: Sequence[Work]) -> Iterator[list[Work]]:
        """Cut what is scored together into calls."""
        if self._parts.steady is not None and self._parts.steady.call_rows is None and work:
            self._try_a_call(self._parts.steady, [one.typed for one in work[: steady.TRIED_ROWS]])
        batch: list[Work] = []
        n_rows, n_bytes, most = 0, 0, self.batch_rows()
        for one in work:
            batch.append(one)
            n_rows += one.n_rows
            n_bytes += len(one.typed.request.body or b"")
            if n_rows >= most or n_bytes >= MOST_BYTES:
                yield batch
                batch, n_rows, n_bytes, most = [], 0, 0, self.batch_rows()
        if batch:
            yield batch

    def _try_a_call(self, cuts: steady.Steady, batch: Sequence[Typed]) -> None:
        """See what a row takes among others, of which nothing is kept."""
        began_ns = time.monotonic_ns()
        self._parts.observer.together(batch, hold=self._parts.inflight.mark)
        cuts.settle((time.monotonic_ns() - began_ns) / 1e6 / len(batch))

    def _score_together(self, batch: Sequence[Work]) -> None:
        began_ns, n_rows = time.monotonic_ns(), sum(one.n_rows for one in batch)
        typed = [one.typed for one in batch]
        seen = self._parts.observer.together(typed, hold=self._parts.inflight.mark)
        spent_ns = time.monotonic_ns() - began_ns
        self._measuring.together(spent_ns, rows=n_rows)
        self.size.took(n_rows, spent_ns / 1e6)
        for one, observation in zip(batch, seen, strict=True):
            one.seen, one.warmup = observation, self._warms_up()

    def _mark(self, batch: Sequence[Typed]) -> None:
        self._parts.inflight.mark([typed.request.position for typed in batch])

    def _keep(self, one: Work) -> None:
        """Keep what was seen of a request; now and then, score something a second time."""
        typed, observation, what = one.typed, one.seen, one.what
        if not what.score:
            self._offer(typed, *_as_recorded(typed.request))
            return
        if self._parts.steady is not None:
            observation = steady.timeless(observation)
        times = observation.times
        alone = what.alone and what.timed and times is not None and times.batch_requests == 1
        scoring = Scoring(
            request=typed.request,
            observation=observation,
            rows=typed.rows,
            sizes=self._parts.disclosure.sizes(one.sizes),
            alone=alone,
            warmup=one.warmup,
            warm=one.warm,
            inclusion=what.inclusion * one.share,
            share=one.share,
            by=one.by,
            unit=self._looking.unit(typed),
            pair=one.pair,
        )
        self._commits.keep(scoring)
        for second in self._parts.seconds:
            try:
                second.take(scoring)
            except Exception as error:
                self._second_failed(error)
        if times is not None and alone and not one.warmup:
            self._parts.metrics.observe(times)
        if one.died or not self._measuring.has_room_again:
            return
        if (
            self._parts.rescorer is not None
            and typed.rows is not None
            and observation.fault is None
        ):
            self._parts.rescorer.offer(typed, observation, self._commits.learned.noise, by=one.by)
        if one.is_alone:
            self._offer(typed, observation.answer, times)

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


def _blocks(requests: Sequence[Request]) -> Iterator[tuple[int, int]]:
    """Yield the blocks that requests lie in, each once, in order."""
    yield from dict.fromkeys(blocks_of([one.position for one in requests]))


def _as_recorded(request: Request) -> tuple[bytes | None, Times | None]:
    """Return the champion's answer to a request and its times; None for one that failed."""
    if request.status != 200 or not request.times:
        return None, None
    return request.answer, Times.unpack(request.times)
