"""What was scored since the last commit: compared, remembered, and committed with the cursor, all at once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from shadowserve.comparison.bursts import in_bursts
from shadowserve.comparison.comparing import Scoring, Side
from shadowserve.comparison.comparisons import Comparisons
from shadowserve.comparison.learned import Learned
from shadowserve.lane import salvage, tables, windows
from shadowserve.lane.intake import InputSizes
from shadowserve.lane.open_window import OpenWindow
from shadowserve.lane.parts import Parts
from shadowserve.lane.recording import Recorder, burst_row
from shadowserve.records import Comparison, Role, worker_of
from shadowserve.state.lane_file import Progress
from shadowserve.statistics import spent

COMMIT_NS = 400 * 10**6
FEW = 16


class Commits:
    """Collects what a lane scores and commits it now and then.

    Attributes
    ----------
    learned : Learned
        All that the lane remembers, as of what was taken in last.
    comparer : Comparer
    window : OpenWindow
        The window that is being filled.
    sizes : InputSizes
        Sizes of inputs, by what is remembered of them.
    progress : Progress
        What the next commit adds.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.learned, self.comparer = parts.learned, parts.comparer
        self.window = OpenWindow(
            parts.state, parts.files.parts, parts.name.role, timed=parts.steady is None
        )
        self.sizes = InputSizes(self.learned.sizes)
        self.progress = Progress()
        self._remembered: Mapping[str, bytes] = {}
        self._scorings: list[Scoring] = []
        self._skipped: list[Comparison] = []
        self._committed_ns = 0

    def take_up(self) -> None:
        """Go on where the last process stopped."""
        self.window.take_up()
        self._remembered = self._parts.state.summaries() or self.learned.state()
        self._committed_ns = time.monotonic_ns()

    @property
    def n_requests(self) -> int:
        """Requests scored so far, those that are not committed yet among them."""
        return self.learned.requests + len(self._scorings)

    def keep(self, scoring: Scoring) -> None:
        """Keep what was scored for the next commit."""
        self._scorings.append(scoring)

    def skip(self, comparison: Comparison) -> None:
        """Keep the outcome of a request that was not scored."""
        self.progress.count(comparison.outcome)
        self._skipped.append(comparison)

    def remember(self, name: str, state: Any) -> None:
        """Commit one summary by itself, between flushes."""
        self._remembered = {**self._remembered, name: orjson.dumps(state)}
        self._parts.state.commit(Progress(summaries=dict(self._remembered)))

    @property
    def has_news(self) -> bool:
        """Whether there is an outcome that is not committed."""
        return bool(self._scorings or self._skipped or self.progress.outcomes)

    def is_due(self, *, idle: bool) -> bool:
        """Whether it is time to commit."""
        waited = time.monotonic_ns() - self._committed_ns
        return self.has_news and (waited >= COMMIT_NS or (idle and waited >= COMMIT_NS // 4))

    def flush(self) -> Comparisons:
        """Compare and remember what was scored, and commit it with the cursor; return the comparisons."""
        self._committed_ns = time.monotonic_ns()
        with self._parts.clock.during(spent.COMPARE):
            return self._flush()

    def _flush(self) -> Comparisons:
        if not (self._scorings or self._skipped or self.progress.outcomes or self.progress.cursor):
            return Comparisons.of([])
        comparisons = Comparisons.of(salvage.learn(self, self._scorings, self._skipped))
        for outcome, n in comparisons.counts().items():
            self.progress.count(outcome, n)
        in_burst = in_bursts(comparisons.position) if self._scorings else np.zeros(0, np.bool_)
        rows = [burst_row(self._scorings[at]) for at in np.flatnonzero(in_burst).tolist()]
        self.progress.bursts += [row for row in rows if row is not None]
        self.progress.summaries = dict(self._remembered)
        with self._parts.clock.during(spent.COMMIT):
            self._parts.state.commit(self.progress)
        self.window.n += len(self.progress.comparisons) + sum(n for _, n, _ in self.progress.pieces)
        self._scorings, self._skipped, self.progress = [], [], Progress()
        return comparisons

    def learn(self, scorings: Sequence[Scoring], skipped: Sequence[Comparison] = ()) -> Comparisons:
        """Compare what was scored, and remember it; return one comparison a scoring.

        After a failure nothing is half remembered once `forget` was called.
        """
        side = self.comparer.compare(scorings)
        with self._parts.clock.during(spent.RECORD):
            return self._record(scorings, skipped, side)

    def pass_time(self) -> None:
        """Take the time since the last call into the account of what it went to."""
        spent_ns = self._parts.clock.take()
        self.learned.spent.add(spent_ns)
        self.learned.measuring.again(spent_ns[spent.AGAIN])
        self.learned.measuring.pass_time(sum(spent_ns.values()))

    def close_window(self, *, merged: int = 0, totals: Mapping[str, float]) -> None:
        """Close the window for good, with where the lane's time went in it; an empty one stays open."""
        with self._parts.clock.during(spent.COMMIT):
            if self.window.n:
                totals = {**totals, **self.learned.spent.of_window()}
                self.learned.spent.begin_window()
            self.window.close(merged=merged, totals=totals)

    def _record(
        self, scorings: Sequence[Scoring], skipped: Sequence[Comparison], side: Side | None
    ) -> Comparisons:
        recorder = Recorder(self._parts.observer.scorer, self._parts.tail, self.window.number)
        comparisons = recorder.comparisons(scorings, side, self.learned.units)
        everything = Comparisons.of([*comparisons, *skipped]) if skipped else comparisons
        self.learned.add(
            everything,
            scorings=scorings,
            side=side,
            divergence=self.comparer.divergence,
            champion_columns=self._champion_columns(scorings),
            inner=_inner(scorings),
            disclosure=self._parts.disclosure,
        )
        self.learned.unseen.add(
            (one.rows for one in scorings),
            self._parts.categories,
            disclosure=self._parts.disclosure,
        )
        self.learned.notes = list(self._parts.observer.scorer.notes)
        for cycle, block, at in self._parts.schedule.stretches(comparisons.arrived_wall_ns):
            self.learned.harm.add(cycle, block, comparisons.response_ms[at])
        rows, pieces = _encoded(everything)
        # Before the state is taken, which holds what this flush took.
        self.pass_time()
        self._remembered = self.learned.state()
        self.progress.comparisons += rows
        self.progress.pieces += pieces
        cells = self.learned.outputs.new_memberships()
        # Labels judge challengers only.
        self.progress.cells += cells if self._parts.name.role is Role.CHALLENGER else ()
        return comparisons

    def forget(self) -> None:
        """Go back to what was remembered last, after something could not be taken in whole."""
        before = self.learned
        self.learned = Learned.from_state(self._remembered)
        # What was spent is spent, and what was decided before anything was read stays decided.
        for name in ("measuring", "spent", "headway", "thinning"):
            setattr(self.learned, name, getattr(before, name))
        self.sizes = InputSizes(self.learned.sizes)
        if self.learned.outputs.tally is not None:
            self.comparer.resume(self.learned.outputs.tally)

    def _champion_columns(self, scorings: Sequence[Scoring]) -> dict[str, tuple[str, ...]]:
        workers = {worker_of(one.request.position) for one in scorings}
        return {
            name: columns for worker in workers for name, columns in self._parts.tail.steps(worker)
        }


def _encoded(
    comparisons: Comparisons,
) -> tuple[list[tuple[int, int, bytes]], list[tuple[int, int, bytes]]]:
    """Encode comparisons for the state file: many of them by columns, few of them one by one."""
    if len(comparisons) < FEW:  # the names of columns alone weigh as much as ten
        return [(one.position, one.window, windows.encode(one)) for one in comparisons], []
    by_window = {
        number: comparisons.taken(comparisons.window == number)
        for number in np.unique(comparisons.window).tolist()
    }
    pieces = {number: tables.pack(tables.table(rows)) for number, rows in by_window.items()}
    return [], [(number, len(by_window[number]), piece) for number, piece in pieces.items()]


def _inner(scorings: Sequence[Scoring]) -> dict[str, tuple[str, ...]]:
    return {name: columns for one in scorings for name, columns, _, _ in one.observation.inner}
