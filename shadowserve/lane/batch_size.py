"""How many rows share a call of a lane's version: as many as pay, and never so many that they could kill it.

A call of five hundred rows costs a tenth a row of what a call of sixty-four does, for cheap models. But one
call must stay far below the deadline of a request, and within memory. So the size begins small and doubles
while calls are quick; it shrinks at once where a call took long, or raised what the process ever held too
near to what it may. After a death the size begins smaller still, and grows back slowly.
"""

from __future__ import annotations

import resource
import sys

MOST_ROWS = 512
MOST_BYTES = 8 * 2**20
"""Of bodies in one call."""
FIRST_ROWS = 64
ROWS_AFTER_DEATH = 8
CALL_MS = 1_000.0
"""What a call may take: the shortest sensible deadline is ten times as long."""
CLEAN_CALLS = 8
"""Calls in a row that must have gone well after a death before the size doubles."""
MEMORY_SHARE = 0.7
_UNIT = 1 if sys.platform == "darwin" else 1_024


class BatchSize:
    """The rows that may share a call now.

    Parameters
    ----------
    memory_bytes : int or None
        What the process may hold; None where nobody ends it for that.
    after_death : bool
        Whether the last process died with requests in hand that are still to be tried.
    """

    def __init__(self, *, memory_bytes: int | None = None, after_death: bool = False) -> None:
        self._memory_bytes = memory_bytes
        self._rows = ROWS_AFTER_DEATH if after_death else FIRST_ROWS
        self._needed = CLEAN_CALLS if after_death else 1
        self._clean = 0
        self._most = MOST_ROWS
        self._row_ms: float | None = None
        self._peak = peak_bytes()

    def rows(self, *, alone_ms: float) -> int:
        """Return how many rows may share the next call, at least 1.

        Parameters
        ----------
        alone_ms : float
            What a request takes alone; 0 where that is not known. It counts until a call was shared.
        """
        each_ms = alone_ms if self._row_ms is None else self._row_ms
        return max(1, min(self._rows, int(CALL_MS / each_ms) if each_ms > 0 else self._rows))

    def took(self, rows: int, ms: float) -> None:
        """Take in what a call of so many rows took, and what it made the process hold at most."""
        before, self._peak = self._peak, peak_bytes()
        # Slower at once, quicker by halves: one quick call says little of the next.
        latest = ms / max(1, rows)
        quicker = self._row_ms is not None and latest < self._row_ms
        self._row_ms = (latest + (self._row_ms or 0.0)) / 2 if quicker else latest
        # Only a peak that is new is this call's doing.
        if (
            self._memory_bytes
            and self._peak > before
            and self._peak > MEMORY_SHARE * self._memory_bytes
        ):
            self._rows = self._most = max(1, min(rows, self._rows) // 2)
            return
        self._clean += 1
        # A call of few rows says nothing of one of twice as many.
        if rows >= self._rows / 2 and self._clean >= self._needed:
            self._clean = 0
            self._rows = min(self._most, 2 * self._rows)


def peak_bytes() -> int:
    """Return the most that this process has ever held in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
