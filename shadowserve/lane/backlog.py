"""A lane's backlog: how far behind it is, how quickly it gets through, and what share it scores meanwhile.

A challenger decides its own shares; the control scores what any challenger scores, which by then lies in their
files, since it reads no further than they have committed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson

from shadowserve.comparison.learned import Learned
from shadowserve.journal.reader import Batch
from shadowserve.settings.vocabulary import WhenBehind
from shadowserve.state import counters
from shadowserve.state.lane_reading import summary
from shadowserve.state.places import Places
from shadowserve.statistics.headway import Headway
from shadowserve.statistics.thinning import Block, Thinning

LOOK_NS = 10**9
SUMMARY = "thinning"
FULL = 64
"""Requests that are read at once at least, where there are so many."""

Remember = Callable[[str, object], None]


class Backlog:
    """What a lane has before it.

    Parameters
    ----------
    places : Places
        Whose workers' counts say how much came.
    learned : callable
        Gives what the lane remembers.
    remember : callable
        Commits one summary by itself: a share that changes must outlive the process before a request is
        read under it.
    when_behind : WhenBehind
    challengers : callable, optional
        Gives the state files of the lanes that a control follows; None for a challenger.
    """

    def __init__(
        self,
        places: Places,
        *,
        learned: Callable[[], Learned],
        remember: Remember,
        when_behind: WhenBehind = WhenBehind.SCORE_ALL,
        challengers: Callable[[], Sequence[Path]] | None = None,
    ) -> None:
        self._places = places
        self._learned = learned
        self._remember = remember
        self._when_behind = when_behind
        self._challengers = challengers
        self._others: dict[Path, _Other] = {}
        self._looked_ns = time.monotonic_ns()
        self._came: int | None = None
        self._dealt = 0
        self.lag_s = 0.0

    def read(self, batch: Batch) -> None:
        """Take in what was read: the age of its oldest request is how far behind the lane was."""
        oldest = min((one.arrived_wall_ns for one in batch.requests), default=None)
        # A control that has read all that it may waits for challengers, however old that is.
        waits = self._challengers is not None and len(batch.requests) < FULL
        late = oldest is not None and not waits
        self.lag_s = max(0.0, (time.time_ns() - (oldest or 0)) / 1e9) if late else 0.0

    def dealt(self, n: int) -> None:
        """Take in that so many requests have become of something."""
        self._dealt += n

    def share(self, block: Block) -> float:
        """Return the share of a block that is scored; fixed when it is first asked for."""
        thinning = self._learned().thinning
        if self._challengers is None:
            return thinning.share(block)
        if thinning.told(block) is None:
            files = self._challengers()
            self._others = {file: self._others.get(file) or _Other(file) for file in files}
            shares = (one.share(block) for one in self._others.values())
            found = [share for share in shares if share is not None]
            return thinning.share(block, given=max(found, default=1.0))
        return thinning.share(block)

    def look(self, *, processes: int = 1, most: int = 1) -> int:
        """Once a second: how quickly it goes, and whether the next blocks are scored whole.

        Parameters
        ----------
        processes, most : int
            How many score now, and how many may.

        Returns
        -------
        int
            Nanoseconds since it looked last; 0 where it is not time yet.
        """
        now_ns = time.monotonic_ns()
        passed_ns = now_ns - self._looked_ns
        if passed_ns < LOOK_NS:
            return 0
        learned, came = self._learned(), self._appended()
        before = came if self._came is None else self._came
        learned.headway.pass_time(passed_ns, came=max(0, came - before), dealt=self._dealt)
        learned.headway.processes, learned.headway.most = processes, most
        self._looked_ns, self._came, self._dealt = now_ns, came, 0
        if self._challengers is None:
            self._thin(learned.thinning)
        return passed_ns

    def rest(self) -> None:
        """Let time pass in which the lane stands still on purpose: it does not fall behind by it."""
        if self._challengers is None:
            self._learned().thinning.rest()

    def _thin(self, thinning: Thinning) -> None:
        now_ns = time.time_ns()
        if self._when_behind is WhenBehind.SCORE_ALL:
            changed = thinning.end(now_ns=now_ns)  # of an earlier process, which was told to thin
        else:
            changed = thinning.look(self.lag_s, now_ns=now_ns)
        if changed:
            self._remember(SUMMARY, thinning.state())

    def _appended(self) -> int:
        """Return how much all workers have journaled."""
        return sum(counters.read(path).sequence for path in self._places.all_counters().values())

    @property
    def headway(self) -> Headway:
        """How quickly it goes."""
        return self._learned().headway


class _Other:
    """Another lane's shares, read again once they are asked for beyond what was known."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known = Thinning()

    def share(self, block: Block) -> float | None:
        found = self._known.told(block)
        if found is None:
            written = summary(self._file, SUMMARY)
            if written:
                self._known = Thinning.from_state(orjson.loads(written))
            found = self._known.told(block)
        return found
