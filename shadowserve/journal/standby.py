"""The standby of a journal that cannot be opened yet: answers still leave, and opening is tried again.

A champion worker that starts while the disk is full, or while its predecessor's segment is locked,
serves at once. What it answers meanwhile is counted as not appended.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from shadowserve.errors import JournalError, UnreadableError
from shadowserve.faults import fault_of
from shadowserve.records import Request, position

EVERY_S = 1.0
_EXPECTED = (JournalError, UnreadableError)

_log = logging.getLogger(__name__)


class Opened(Protocol):
    """What becomes of it; `journal.Writer` is one."""

    sequence: int

    def position(self, offset: int) -> int:
        """Return the position of the next append's `offset`-th request."""

    def append(self, requests: Sequence[Request]) -> None:
        """Write the requests, all or none."""

    def close(self) -> None:
        """Seal and close."""


class Standby:
    """Opens a journal as soon as it can be, on a thread of its own.

    Parameters
    ----------
    open_journal : callable
        Returns the journal, or raises; whatever it raises, it is tried again.
    worker, sequence : int
        The worker, and the last sequence number it counted.
    every_s : float
        Seconds between two tries.
    """

    def __init__(
        self,
        open_journal: Callable[[], Opened],
        *,
        worker: int,
        sequence: int,
        every_s: float = EVERY_S,
    ) -> None:
        self.sequence = sequence
        self._worker = worker
        self._journal: Opened | None = None
        self._opened: Opened | None = None
        self._closed = threading.Event()
        self._known: type[BaseException] | None = None
        self._thread = threading.Thread(
            target=self._try, args=(open_journal, every_s), name="journal-standby", daemon=True
        )
        self._thread.start()

    def position(self, offset: int) -> int:
        """Return the position of the next append's `offset`-th request."""
        if self._journal is not None:
            return self._journal.position(offset)
        return position(self._worker, self.sequence + 1 + offset)

    def append(self, requests: Sequence[Request]) -> None:
        """Append, once the journal is open; the batch that finds it just opened is not in it.

        Raises
        ------
        JournalError
            If nothing was written.
        """
        # This batch was promised its positions before the journal opened; the next one goes in.
        if self._journal is None:
            self._take_over()
            raise JournalError("The journal is not open yet.")
        self._journal.append(requests)
        self.sequence = self._journal.sequence

    def close(self) -> None:
        """Stop trying; seal and close what was opened."""
        self._closed.set()
        self._thread.join()
        journal = self._journal or self._opened
        if journal is not None:
            journal.close()

    def _take_over(self) -> None:
        """Adopt what was opened; between batches, so that no promised position changes."""
        if self._opened is not None:
            self._journal, self.sequence = self._opened, self._opened.sequence

    def _try(self, open_journal: Callable[[], Opened], every_s: float) -> None:
        while not self._closed.is_set():
            try:
                self._opened = open_journal()
            except Exception as error:
                if type(error) is not self._known and not isinstance(error, _EXPECTED):
                    fault = fault_of(error)
                    _log.error("journal: %s at %s; it is tried again", fault.type, fault.frame)
                    self._known = type(error)
                self._closed.wait(every_s)
            else:
                _log.warning("journal: open again; what is answered from now on is recorded")
                return
