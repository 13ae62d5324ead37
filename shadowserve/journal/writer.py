"""The append-only record of requests and champion answers, in sealed SQLite segments.

Each champion worker writes one segment at a time, ``<worker>-<n>.db``, and nobody else writes it. A
segment is sealed at 64 MiB or 60 s, read by every lane, and deleted whole. No row is ever deleted
and no checkpoint runs while a segment is live, so an append costs microseconds and never waits for
a reader. Safe against the death of any process; not promised against power loss.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from shadowserve.errors import JournalError
from shadowserve.journal.recovery import recover
from shadowserve.journal.segment_file import PAGE_BYTES, begin, create, remove, seal, segments
from shadowserve.records import Request, position, sequence_of

SEGMENT_BYTES = 64 * 2**20
SEGMENT_NS = 60 * 10**9
# On a full disk a roll is tried once a second, and not at every append.
ROLL_AGAIN_NS = 10**9
LOOK_S = 5.0
"""How often a segment's age is looked at where nobody asks: its bodies must not stay because traffic ended."""
# SQLite's log holds each page behind a header of 24 bytes.
_FRAME_BYTES = PAGE_BYTES + 24
_LEAST_BYTES = 2**20
SEGMENT_VARIABLE = "SHADOWSERVE_SEGMENT_BYTES"

Steps = Sequence[tuple[str, Sequence[str]]]
# About what a row takes beside body and answer.
_ROW_BYTES = 200

_log = logging.getLogger(__name__)

_INSERT = "INSERT INTO request VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Writer:
    """The writing side of one champion worker's journal.

    Not for several threads: the scoring thread appends. A thread of its own opens segments ahead of
    need and closes them after sealing. So no caller waits for a checkpoint or for a file to be
    made.

    Parameters
    ----------
    directory : Path
        Where the segments lie; made with mode 0700.
    worker : int
        This worker's index, from 0.
    steps : sequence of (name, columns)
        The champion plan's steps, kept once a segment so that `Times` can be read.
    after : int
        The last sequence number that the worker's counters know. No number is given twice, even
        if the journal was lost.
    segment_bytes, segment_ns : int
        When a segment is sealed, whichever comes first: bytes on disk, and age.
    look_s : float
        Seconds between two looks at the age while nothing is appended.

    Raises
    ------
    JournalError
        If the directory cannot be written.
    """

    def __init__(
        self,
        directory: Path,
        *,
        worker: int,
        steps: Steps = (),
        after: int = 0,
        segment_bytes: int = SEGMENT_BYTES,
        segment_ns: int = SEGMENT_NS,
        look_s: float = LOOK_S,
    ) -> None:
        self._directory = directory
        self._worker = worker
        self._steps = json.dumps([[name, list(columns)] for name, columns in steps])
        self._segment_bytes = segment_bytes
        self._segment_ns = segment_ns
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error
        self.sequence = max(recover(directory, worker=worker, known=after), after)
        numbers = [segment.number for segment in segments(directory, worker=worker)]
        # The number after the newest may have been a spare's, which a reader is still leaving. No name
        # comes back, though all segments are gone: a reader that closes the old one would take the new
        # one's log along.
        self._numbers = directory / f"{worker}.number"
        self._next_number = max(*numbers, _noted(self._numbers), -1) + 2
        self._live = self._open()
        try:
            begin(self._live, first=self.sequence + 1, steps=self._steps)
        except sqlite3.Error as error:  # the disk took the tables and not a row more
            self._live.close()
            remove(segments(directory, worker=worker)[-1])
            raise self._unwritable(error) from error
        self._born_ns, self._written, self._roll_ns = time.monotonic_ns(), 0, 0
        self._keeper = ThreadPoolExecutor(1, thread_name_prefix="journal-keeper")
        self._spare: Future[sqlite3.Connection] = self._keeper.submit(self._open)
        # The ageing thread may roll too, and never in the midst of an append.
        self._turn = threading.Lock()
        self._closed = threading.Event()
        self._ageing = threading.Thread(
            target=self._age, args=(look_s,), name="journal-age", daemon=True
        )
        self._ageing.start()

    def position(self, offset: int) -> int:
        """Return the position of the `offset`-th request of the next append, from 0."""
        return position(self._worker, self.sequence + 1 + offset)

    def append(self, requests: Sequence[Request]) -> None:
        """Append requests in one transaction, waiting at most 5 ms for the file.

        Parameters
        ----------
        requests : sequence of Request
            With the positions that `position` promises: the worker's next ones, without a gap.

        Raises
        ------
        JournalError
            If nothing was written: a full disk, or a foreign lock. The positions are free again.
        """
        with self._turn:
            self._roll_if_due()
            try:
                with self._live:
                    self._live.executemany(_INSERT, requests)
            except sqlite3.Error as error:
                if not self._holds(requests[-1], error):
                    raise JournalError(f"The journal could not be written ({error}).") from error
            # Only now: after a failed append the same positions are promised again.
            self.sequence = sequence_of(requests[-1].position)
            self._written += _on_disk(
                sum(len(r.body or b"") + len(r.answer) + _ROW_BYTES for r in requests)
            )

    def _holds(self, request: Request, error: sqlite3.Error) -> bool:
        """Whether it was written before: an append that was interrupted is made again."""
        if not isinstance(error, sqlite3.IntegrityError):
            return False
        told = "SELECT arrived_ns FROM request WHERE position = ?"
        found = self._live.execute(told, (request.position,)).fetchone()
        return bool(found == (request.arrived_ns,))

    def close(self) -> None:
        """Seal the live segment, and leave no empty one behind."""
        self._closed.set()
        self._ageing.join()
        with suppress(sqlite3.Error):  # the next writer seals it
            seal(self._live, self.sequence)
        self._keeper.submit(self._live.close)
        self._keeper.shutdown(wait=True)
        if self._spare.exception() is None:
            # The newest file is the spare, which never held a request.
            self._spare.result().close()
            remove(segments(self._directory, worker=self._worker)[-1])

    def _age(self, look_s: float) -> None:
        """Seal an old segment between two appends, also when traffic has ended."""
        while not self._closed.wait(look_s):
            with self._turn:
                self._roll_if_due()

    def _roll_if_due(self) -> None:
        full = self._written >= self._segment_bytes
        # An empty segment does not age: without traffic there would be a new file every minute.
        old = self._written and time.monotonic_ns() - self._born_ns >= self._segment_ns
        # A spare that is not ready is never waited for, since a caller waits meanwhile.
        if not (full or old) or not self._spare.done():
            return
        if time.monotonic_ns() < self._roll_ns:
            return
        self._roll_ns = time.monotonic_ns() + ROLL_AGAIN_NS
        if self._spare.exception() is not None:
            _log.warning("journal: no new segment could be opened; going on with the full one")
            self._spare = self._keeper.submit(self._open)
            return
        successor = self._spare.result()
        try:
            # Begun before the seal: readers that meet the seal go on to it at once.
            begin(successor, first=self.sequence + 1, steps=self._steps)
            seal(self._live, self.sequence)
        except sqlite3.Error:  # the successor stays the next one: readers wait for the seal
            _log.warning("journal: the full segment could not be sealed; going on with it")
            return
        self._keeper.submit(self._live.close)  # closing checkpoints, which takes its time
        self._live, self._written = successor, 0
        self._born_ns, self._roll_ns = time.monotonic_ns(), 0
        self._spare = self._keeper.submit(self._open)

    def _open(self) -> sqlite3.Connection:
        path = self._directory / f"{self._worker}-{self._next_number}.db"
        try:
            connection = create(path)
        except (OSError, sqlite3.Error) as error:
            raise self._unwritable(error) from error
        _note(self._numbers, self._next_number)
        self._next_number += 1
        return connection

    def _unwritable(self, error: Exception) -> JournalError:
        return JournalError(
            f"The journal cannot be written in {self._directory} ({error}). "
            "Free space there, or give --state-dir a directory that can be written."
        )


def least_budget(*, workers: int, max_body: int) -> int:
    """Return the least budget that can hold: four segments of a worker, and twice its largest request."""
    return workers * (4 * _LEAST_BYTES + 2 * max_body)


def segment_bytes(budget: int, *, workers: int, max_body: int) -> int:
    """Return the size of a segment with which a budget holds, however little is read.

    Beside a live segment lies the one before it, twice while it is being closed, and a request of the
    largest size, twice as well.
    """
    return max(_LEAST_BYTES, min(SEGMENT_BYTES, (budget // workers - 2 * max_body) // 4))


def segment_bytes_of(environ: Mapping[str, str]) -> int:
    """Return what the supervisor told this process of `segment_bytes`."""
    return int(environ.get(SEGMENT_VARIABLE, SEGMENT_BYTES))


def _on_disk(n_bytes: int) -> int:
    """Return what a step of so many bytes takes in the log, which is written in whole pages."""
    return _FRAME_BYTES * (1 + -(-n_bytes // PAGE_BYTES))


def _noted(path: Path) -> int:
    """Return the highest number that a segment of this worker ever had; -1 for none."""
    try:
        return int(path.read_bytes())
    except (OSError, ValueError):
        return -1


def _note(path: Path, number: int) -> None:
    """Note it in one write of fixed length, which a kill does not tear."""
    with suppress(OSError):  # on a full disk the segments that are there tell the next number
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            os.pwrite(descriptor, b"%020d" % number, 0)
        finally:
            os.close(descriptor)
