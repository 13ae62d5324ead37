"""What a lane does steadily: over recorded requests, all that it records rests on them, and on no clock.

Whoever scores what callers send cuts windows by time, times a share that fits its budget, and lets as many rows
share a call as go quickly. Recorded requests can be scored again, and then the same must come of them: also where the
lane was killed meanwhile, since it goes on from where it had committed, and every cut lies at a number of requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from shadowserve.journal.reader import Batch, JournalReader
from shadowserve.records import PHASES, Observation, Times
from shadowserve.state import counters, fed
from shadowserve.state.files import write_whole
from shadowserve.state.places import Places

BLOCK = 512
"""Requests of a read."""
CALL_ROWS = 512
TRIED_ROWS = 64
CALL_SHARE = 0.2
"""Of the deadline, for one call."""
COMMIT = 2 * BLOCK
"""Requests between two commits: what a kill costs at most, beside what is read ahead."""
WIDEN_AFTER = 32
WORKER = 0
"""Whoever feeds recorded requests is the only worker."""
_NO_TIMES = Times(phases_ns=(0,) * len(PHASES))


@dataclass(slots=True)
class Steady:
    """Where a lane over recorded requests cuts.

    Parameters
    ----------
    places : Places
    file : Path
        Holds how many rows share a call, once that is settled.
    deadline_s : float
        What a request may take.
    """

    places: Places
    file: Path
    deadline_s: float
    _call_rows: int | None = None
    _total: int | None = None

    @property
    def call_rows(self) -> int | None:
        """How many rows share a call; None until somebody has tried what one takes."""
        if self._call_rows is None:
            with suppress(FileNotFoundError, ValueError):
                self._call_rows = int(self.file.read_text())
        return self._call_rows

    def settle(self, row_ms: float) -> None:
        """Fix how many rows share a call, for good: as many as stay far below the deadline."""
        rows = CALL_ROWS
        while rows > 1 and rows * row_ms > CALL_SHARE * self.deadline_s * 1e3:
            rows //= 2
        self._keep(rows)

    def shrink(self) -> None:
        """Let fewer rows share a call from now on: a call of so many did not come back."""
        if self.call_rows is not None:
            self._keep(max(1, self.call_rows // 4))

    def _keep(self, rows: int) -> None:
        self._call_rows = rows
        write_whole(self.file, str(rows))

    @property
    def total(self) -> int | None:
        """How many requests there are; None until all have been fed."""
        if self._total is None:
            self._total = fed.total(self.places)
        return self._total

    def bound(self) -> Mapping[int, int]:
        """Return how far the journal may be read: whole blocks, until it is known where it ends."""
        if self.total is not None:
            return {WORKER: self.total}
        came = counters.read(self.places.counters(WORKER)).sequence
        return {WORKER: came // BLOCK * BLOCK}

    def read(self, tail: JournalReader, *, upto: Mapping[int, int] | None) -> Batch:
        """Read one block, whole wherever segments end.

        Parameters
        ----------
        upto : mapping of worker to sequence, optional
            Others than `bound` that must not be passed.
        """
        bound = self.bound()[WORKER]
        if upto is not None:
            bound = min(bound, _whole(upto.get(WORKER, 0), self.total))
        batch = Batch([], 0, dict(tail.cursor))
        begin = tail.cursor.get(WORKER, 0)
        end = min(bound, (begin // BLOCK + 1) * BLOCK)
        while (done := tail.cursor.get(WORKER, 0)) < end:
            more = tail.read(end - done, upto={WORKER: end})
            batch = Batch(
                batch.requests + more.requests,
                batch.deleted + more.deleted,
                more.cursor,
                batch.lost + more.lost,
            )
            if tail.cursor.get(WORKER, 0) == done:
                break
        return batch

    def is_due(self, cursor: Mapping[int, int]) -> bool:
        """Tell whether a commit is due at a cursor."""
        return cursor.get(WORKER, 0) % COMMIT == 0

    def is_over(self, cursor: Mapping[int, int] | None) -> bool:
        """Tell whether a cursor is the end of all that there is."""
        total = self.total
        return total is not None and (cursor or {}).get(WORKER, 0) >= total

    def window_requests(self, number: int) -> int:
        """Return how many requests a window holds: they double after each `WIDEN_AFTER`.

        Examples
        --------
        >>> from pathlib import Path
        >>> steady = Steady(Places(Path(".")), Path("call_rows"), deadline_s=10.0)
        >>> [steady.window_requests(number) for number in (0, 31, 32)]
        [1024, 1024, 2048]
        """
        return COMMIT << number // WIDEN_AFTER


def timeless(seen: Observation) -> Observation:
    """Return what was seen without how long it took."""
    return seen._replace(times=_NO_TIMES if seen.times is not None else None, starved_ns=0)


def _whole(sequence: int, total: int | None) -> int:
    return sequence if sequence == total else sequence // BLOCK * BLOCK
