"""The recorder of ended requests: each batch goes into the journal once and into the counters once.

Champion workers and the console's tap record here. Whoever records may be interrupted between any two
steps, by what a model left behind, and begins again with the same entry.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from shadowserve.errors import JournalError
from shadowserve.faults import fault_of, tell
from shadowserve.records import Request, sequence_of
from shadowserve.state.counters import Counters

TOLD_EVERY_NS = 10**9
MAX_APPENDS = 3

_log = logging.getLogger(__name__)

Positions = Callable[[int], int]
"""Returns the position of the next append's n-th request, from 0."""


class Journal(Protocol):
    """What a recorder needs of a journal; `journal.writer.Writer` is one."""

    sequence: int

    def position(self, offset: int) -> int:
        """Return the position of the next append's `offset`-th request."""

    def append(self, requests: Sequence[Request]) -> None:
        """Write the requests, all or none; raise JournalError for none."""


@dataclass(slots=True)
class Entry:
    """How far the requests of one batch have come, so that they are recorded from there on.

    Parameters
    ----------
    requests : list of Request, optional
        With the positions that they were given first.
    tries : int
        Appends that failed.
    counting : bool
        Whether the counters may have been changed.
    recorded : bool
    appended : int
        Requests that the journal has, once they are recorded.
    """

    requests: list[Request] | None = None
    tries: int = 0
    counting: bool = False
    recorded: bool = False
    appended: int = 0


class BatchRecorder:
    """Writes requests to one worker's journal and counts them.

    Parameters
    ----------
    journal : Journal
        This worker's.
    counters : Counters
        This worker's counts.
    """

    def __init__(self, journal: Journal, counters: Counters) -> None:
        self._journal = journal
        self._counters = counters
        self._unrecorded = self._told_ns = 0

    def record(self, entry: Entry, make: Callable[[Positions], list[Request]]) -> None:
        """Journal and count a batch; a failure to journal is counted, and nobody else's.

        Begun again after an interruption, it neither writes nor counts twice.

        Parameters
        ----------
        entry : Entry
            The same one whenever it is begun again.
        make : callable
            Positions to the requests, of which there is one at least.
        """
        if entry.recorded:
            return
        if entry.requests is None:
            entry.requests = make(self._journal.position)
        requests = entry.requests
        # An interrupted append may have gone through; the journal's own sequence tells.
        if self._journal.sequence < sequence_of(requests[0].position):
            self._append(entry, requests)
        is_there = self._journal.sequence >= sequence_of(requests[-1].position)
        entry.appended = len(requests) if is_there else 0
        # An interrupted count may have gone through as well; the counters' own sequence tells.
        if not (entry.appended and entry.counting) or self._uncounted():
            failed = sum(request.status != 200 for request in requests)
            replayed = sum(request.replay is not None for request in requests)
            entry.counting = True
            self._counters.journal_step(
                answered=len(requests) - failed,
                failed=failed,
                appended=entry.appended,
                append_failed=len(requests) - entry.appended,
                sequence=self._journal.sequence,
                replayed=replayed,
                own_ns=requests[-1].arrived_wall_ns if replayed < len(requests) else 0,
            )
        entry.recorded = True

    def _append(self, entry: Entry, requests: Sequence[Request]) -> None:
        try:
            self._journal.append(requests)
        except BaseException as error:  # whatever it is, the answers leave
            entry.tries += 1
            if not isinstance(error, JournalError) and entry.tries < MAX_APPENDS:
                raise  # interrupted perhaps after the commit: it is begun again
            self._tell_unrecorded(len(requests), error)

    def _uncounted(self) -> bool:
        return self._counters.counts().sequence < self._journal.sequence

    def _tell_unrecorded(self, n: int, error: BaseException) -> None:
        """Log what was not recorded, once a second at most: the log may lie on the same full disk."""
        self._unrecorded += n
        now_ns = time.monotonic_ns()
        if now_ns - self._told_ns >= TOLD_EVERY_NS:
            told = error if isinstance(error, JournalError) else fault_of(error).type
            tell(_log, "journal: %d answered requests not recorded (%s)", self._unrecorded, told)
            self._unrecorded, self._told_ns = 0, now_ns
