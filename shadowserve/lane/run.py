"""The lane's loop: read the journal, score, compare, remember, commit.

Everything learnt is committed with the cursor, so a lane killed at any instant goes on where it was.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import nullcontext

from shadowserve import ambience
from shadowserve.comparison.comparisons import Comparisons
from shadowserve.journal.reader import Batch
from shadowserve.lane.block import Block
from shadowserve.lane.commits import Commits
from shadowserve.lane.execution import Execution
from shadowserve.lane.parts import Parts
from shadowserve.lane.scorers import AHEAD
from shadowserve.lane.steady import Steady
from shadowserve.lane.totals import totals
from shadowserve.records import Outcome, Request
from shadowserve.state import pace
from shadowserve.state.lane_condition import Condition
from shadowserve.state.pauses import Pauses
from shadowserve.statistics import switchback
from shadowserve.statistics.spent import READ

READ_REQUESTS = 64
READ_AHEAD = 512
"""The most that is read at once, by a lane that is behind: then calls are larger, too."""
FULL_READS = 4
"""So many full reads in a row, far behind, and the next ones are twice as large."""
BEHIND_NS = 2 * 10**9
AGAIN_REQUESTS = 64
"""What is due a second time is looked for so often, however much is read at once."""
IDLE_S = 0.01


class Lane:
    """One lane at work.

    Attributes
    ----------
    parts : Parts
        What it is made of.
    commits : Commits
        What it has scored and not committed yet.
    execution : Execution
        What scores.
    """

    __slots__ = (
        "_ahead",
        "_condition",
        "_full_reads",
        "_pauses",
        "commits",
        "execution",
        "parts",
    )

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.commits = Commits(parts)
        self.execution = Execution(parts, self.commits)
        self._pauses = Pauses(parts.places)
        self._ahead: deque[Block] = deque()
        self._condition = Condition("starting")
        self._full_reads = 0

    def run(self) -> None:
        """Work until asked to stop; then commit, and close the window."""
        self.take_up()
        while not self.parts.stopping():
            self._look_at_refused()
            if not self.turn():
                self._idle()
        # What is handed out and not taken in counts for nothing: the next process scores it again. To wait
        # for it could take longer than a stop may.
        self._ahead.clear()
        steady = self.parts.steady
        if steady is not None and not steady.is_over(self._dealt()):
            return  # cut here, its windows would be others than those of a lane that nobody stopped
        self.flush()
        self._look_at_refused(at_once=True)
        self.commits.close_window(totals=self._totals())

    def take_up(self) -> None:
        """Go on where the last process stopped, and say that the lane runs."""
        self.commits.take_up()
        if self.parts.steady is not None:
            self._close_if_full(self.parts.steady)  # a kill may have come between a commit and this
        self.say(*self.parts.first_state)

    def turn(self) -> bool:
        """Read and deal with what has come; False if nothing had."""
        scheduled = self.parts.schedule.block(time.time_ns())[1]
        still = scheduled is switchback.Block.STILL and not self.parts.places.draining.exists()
        if self.parts.scorers is not None:
            self.parts.scorers.rest(still)
        if still:
            if self.parts.backlog is not None:
                self.parts.backlog.rest()
            return False
        self._look_at_backlog(catching_up=scheduled is switchback.Block.CATCH_UP)
        with self.parts.clock.during(READ):
            batch = self._read()
        if self.parts.backlog is not None:
            self.parts.backlog.read(batch)
        wanted, missed = self._outside_pauses(batch.requests)
        again = sum(one.replay is not None for one in missed)
        lock = self.parts.lock if self.parts.places.crowded.exists() else None
        held = lock.held(meanwhile=self.execution.answer) if lock and wanted else nullcontext(True)
        with held as undisturbed:
            block = self.execution.begin(wanted, undisturbed=undisturbed)
            block.cursor = batch.cursor
            block.counts += [
                (Outcome.SKIPPED_BUDGET, batch.deleted),
                (Outcome.SKIPPED_LOST, batch.lost),
                (Outcome.SKIPPED_PAUSED, len(missed) - again),
                (Outcome.REPLAYED, again),
            ]
            came = bool(batch.requests or batch.deleted or batch.lost)
            if came or not self._ahead:
                self._ahead.append(block)
            # Whoever holds the lock is done with it when it lets go.
            ahead = bool(batch.requests) and lock is None
            scorers = self.parts.scorers
            several = scorers is not None and scorers.any_at_work
            self._finish(most=AHEAD if ahead and several else 0)
        return bool(batch.requests)

    def _finish(self, *, most: int) -> None:
        """Take in the oldest blocks: those that are scored, and others until so many are left."""
        while self._ahead and (len(self._ahead) > most or self._ahead[0].is_scored):
            block = self._ahead.popleft()
            self.execution.finish(block)
            if block.requests:
                own = [one for one in block.requests if one.replay is None]
                for first in range(0, len(own), AGAIN_REQUESTS):
                    self.execution.again(own[first : first + AGAIN_REQUESTS])
            self.commits.progress.cursor = block.cursor
            if self.parts.backlog is not None:
                self.parts.backlog.dealt(len(block.requests))
            if block.requests or any(n for _, n in block.counts):
                self.commits.window.begin()
            self._settle(idle=not block.requests)

    def _settle(self, *, idle: bool) -> None:
        """Commit, and close the window, where it is time."""
        if self.parts.steady is not None:
            self._settle_steadily(self.parts.steady, idle=idle)
            return
        if self.commits.is_due(idle=idle):
            self.flush()
        if self.commits.window.is_full() and self.commits.window.is_full(
            wider := pace.factor(self.parts.places.wider)
        ):
            self.flush()
            self.commits.close_window(merged=wider - 1, totals=self._totals())

    def _settle_steadily(self, steady: Steady, *, idle: bool) -> None:
        """Commit, and close the window, after so many requests, and at the end."""
        over = steady.is_over(self._dealt()) and not self._ahead
        if not self.commits.has_news or not (over or (steady.is_due(self._dealt()) and not idle)):
            return
        self.flush()
        self._close_if_full(steady)

    def _close_if_full(self, steady: Steady) -> None:
        if self.commits.window.n >= steady.window_requests(self.commits.window.number):
            self.commits.close_window(totals=self._totals())

    def _dealt(self) -> Mapping[int, int]:
        """Return how far the journal is dealt with, committed or not."""
        return self.commits.progress.cursor or self.parts.state.cursor()

    def _look_at_backlog(self, *, catching_up: bool = False) -> None:
        """Once a second: how far behind the lane is, and whether it needs more processes.

        What has gathered while the lane stood still is no sign that one process is too few.
        """
        backlog, scorers = self.parts.backlog, self.parts.scorers
        if backlog is None:
            return
        if scorers is None:
            backlog.look()
        elif passed_ns := backlog.look(processes=scorers.at_work, most=scorers.most):
            busy = self.parts.clock.busy_share()
            lag_s = 0.0 if catching_up else backlog.lag_s
            scorers.staff(lag_s=lag_s, own_busy=busy, passed_ns=passed_ns)

    def _read(self) -> Batch:
        """Read what has come: the more at once, the longer the lane has been behind."""
        if self.parts.steady is not None:
            return self.parts.steady.read(self.parts.tail, upto=self.parts.limit())
        most = min(max(READ_AHEAD, READ_REQUESTS), READ_REQUESTS << self._full_reads // FULL_READS)
        batch = self.parts.tail.read(most, upto=self.parts.limit())
        found = batch.requests
        if len(found) < READ_REQUESTS or time.time_ns() - found[-1].arrived_wall_ns < BEHIND_NS:
            self._full_reads = 0
        elif len(found) >= most and most < READ_AHEAD:
            self._full_reads += 1
        return batch

    def _look_at_refused(self, *, at_once: bool = False) -> None:
        """Try what the champion refused by this version's signature, and remember it."""
        if self.parts.refused is None or not self.parts.refused.look(
            self.commits.learned.refused, at_once=at_once
        ):
            return
        self.commits.remember("refused", self.commits.learned.refused.state())

    def _totals(self) -> dict[str, float]:
        return totals(self.commits.learned, role=self.parts.name.role.value)

    def _outside_pauses(
        self, requests: Sequence[Request]
    ) -> tuple[Sequence[Request], Sequence[Request]]:
        """Return what did not come in a pause, and what did."""
        if not requests or not (self._pauses.lasting or self._pauses.over()):
            return requests, ()
        covered = [self._pauses.cover(one.arrived_wall_ns) for one in requests]
        both = list(zip(requests, covered, strict=True))
        return [one for one, no in both if not no], [one for one, no in both if no]

    def _idle(self) -> None:
        """Wait a little for requests, or for a challenger that asks for a turn."""
        ambience.collect()
        if self.parts.answering is None:
            time.sleep(IDLE_S)
        else:
            self.parts.answering.serve(IDLE_S)

    def say(self, state: str, reason: str | None) -> None:
        """Write the lane's state and reason for status, where they changed."""
        if (state, reason) != self._condition:
            self._condition = Condition(state, reason)
            self._condition.write(self.parts.files)

    def flush(self) -> None:
        """Commit what was scored, and say whether the version fits."""
        self._settle_condition(self.commits.flush())
        ambience.collect()  # when all that the flush was of is gone

    def _settle_condition(self, comparisons: Comparisons) -> None:
        """Say `incompatible` while every request lacks a column, `running` once one fits."""
        if comparisons.ended(Outcome.BOTH_OK).any():
            self.say("running", self.parts.scorers.remark if self.parts.scorers else None)
            return
        lacking = [
            fault.column
            for fault in comparisons.fault
            if fault and fault.type.endswith(":missing_column")
        ]
        if lacking and self.commits.learned.outputs.disagreement.n == 0:
            self.say("incompatible", f"missing_column:{lacking[-1]}")
