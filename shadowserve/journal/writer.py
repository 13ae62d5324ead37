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
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from shadowserve.errors import JournalError
from shadowserve.journal import lost
from shadowserve.records import Request, position, sequence_of

SEGMENT_BYTES = 64 * 2**20
SEGMENT_NS = 60 * 10**9
PAGE_BYTES = 2_048
"""An append writes whole pages. These fit rows of 1 to 2 kB, and 14 kB is appended as quickly as in 4,096."""
APPEND_WAIT_MS = 5
ROLL_AGAIN_NS = 10**9
LOOK_S = 5.0
"""How often a segment's age is looked at where nobody asks: its bodies must not stay because traffic ended."""
_FRAME_BYTES = PAGE_BYTES + 24
_LEAST_BYTES = 2**20
SEGMENT_VARIABLE = "SHADOWSERVE_SEGMENT_BYTES"

Steps = Sequence[tuple[str, Sequence[str]]]
_ROW_BYTES = 200

_log = logging.getLogger(__name__)

_TABLES = """
CREATE TABLE IF NOT EXISTS request (
    position INTEGER PRIMARY KEY, request_id TEXT, arrived_wall_ns INTEGER, arrived_ns INTEGER,
    protocol TEXT, content_type TEXT, body BLOB, status INTEGER, answer BLOB, n_rows INTEGER,
    times BLOB, unit INTEGER
);
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value);
"""
_INSERT = "INSERT INTO request VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.sshfs", "glusterfs", "lustre"}  # fmt: skip


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One file of the journal, ordered by worker and number."""

    worker: int
    number: int
    path: Path

    @property
    def bytes(self) -> int:
        """Size on disk with its write-ahead log."""
        return sum(size_of(Path(f"{self.path}{suffix}")) for suffix in ("", "-wal"))


def segments(directory: Path, *, worker: int | None = None) -> list[Segment]:
    """List the segments that exist, oldest first within each worker."""
    found = []
    for path in directory.glob("*-*.db"):
        owner, _, number = path.stem.partition("-")
        if owner.isdigit() and number.isdigit() and worker in (None, int(owner)):
            found.append(Segment(worker=int(owner), number=int(number), path=path))
    return sorted(found)


def refuse_network(directory: Path, *, mounts: Path = Path("/proc/mounts")) -> None:
    """Refuse a directory on a network file system, where SQLite's locks cannot be trusted.

    Parameters
    ----------
    directory : Path
    mounts : Path
        The system's table of mounts; what does not exist refuses nothing.

    Raises
    ------
    JournalError
        Naming the file system and what to do.
    """
    kind = _file_system(directory.resolve(), mounts)
    if kind in _NETWORK_FILE_SYSTEMS:
        raise JournalError(
            f"The state directory {directory} lies on a network file system ({kind}), where the "
            "journal is not safe. Give --state-dir a directory on a local disk."
        )


class Writer:
    """The writing side of one champion worker's journal.

    Not for several threads: the scoring thread appends. Segments are opened ahead of need and
    closed after sealing on a thread of their own, so that neither a checkpoint nor a file's
    creation is on a caller's time.

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
            _begin(self._live, first=self.sequence + 1, steps=self._steps)
        except sqlite3.Error as error:  # the disk took the tables and not a row more
            self._live.close()
            remove(segments(directory, worker=worker)[-1])
            raise self._unwritable(error) from error
        self._born_ns, self._written, self._roll_ns = time.monotonic_ns(), 0, 0
        self._keeper = ThreadPoolExecutor(1, thread_name_prefix="journal-keeper")
        self._spare: Future[sqlite3.Connection] = self._keeper.submit(self._open)
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
                    self._live.executemany(_INSERT, [_row(request) for request in requests])
            except sqlite3.Error as error:
                if not self._holds(requests[-1], error):
                    raise JournalError(f"The journal could not be written ({error}).") from error
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
            _seal(self._live, self.sequence)
        self._keeper.submit(self._live.close)
        self._keeper.shutdown(wait=True)
        if self._spare.exception() is None:
            self._spare.result().close()
            remove(segments(self._directory, worker=self._worker)[-1])

    def _age(self, look_s: float) -> None:
        """Seal what is old though nothing is appended any more, between two appends."""
        while not self._closed.wait(look_s):
            with self._turn:
                self._roll_if_due()

    def _roll_if_due(self) -> None:
        full = self._written >= self._segment_bytes
        old = self._written and time.monotonic_ns() - self._born_ns >= self._segment_ns
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
            _begin(successor, first=self.sequence + 1, steps=self._steps)
            _seal(self._live, self.sequence)
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
            connection = _create(path)
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


def _row(request: Request) -> tuple[object, ...]:
    return tuple(getattr(request, name) for name in Request.__slots__)


def _create(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    wait = APPEND_WAIT_MS / 1000
    connection = sqlite3.connect(path, timeout=wait, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.executescript(_TABLES)
    except sqlite3.Error:
        connection.close()
        for suffix in ("", "-wal", "-shm"):  # a try each second must not leave a file each second
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        raise
    return connection


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


def _begin(connection: sqlite3.Connection, *, first: int, steps: str) -> None:
    facts = [("first", first), ("steps", steps)]
    with connection:
        connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", facts)


def _seal(connection: sqlite3.Connection, last: int) -> None:
    with connection:
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('last', ?)", (last,))


def recover(directory: Path, *, worker: int, known: int = 0) -> int:
    """Seal what a dead worker left open and return its last sequence number, 0 if it has none.

    A segment that can no longer be read is moved aside, and what it held noted as lost.

    Parameters
    ----------
    known : int
        The last sequence number that the worker's counters hold.

    Raises
    ------
    JournalError
        If a segment cannot be sealed: it is locked, or the disk is full. Nothing is deleted then.
    """
    last = 0
    present = segments(directory, worker=worker)
    for place, segment in enumerate(present):
        try:
            with closing(sqlite3.connect(segment.path, timeout=1.0)) as connection:
                if _is_whole(connection):
                    last = _seal_abandoned(connection, last)
                else:
                    remove(segment)
        except sqlite3.Error as error:
            if type(error) is sqlite3.DatabaseError:  # malformed, neither locked nor without room
                last = _set_aside(segment, last, present[place + 1 :], known=known)
                continue
            raise JournalError(
                f"The journal segment {segment.path} cannot be sealed ({error}). "
                "Free space there and stop what holds it, or give --state-dir another directory."
            ) from error
    return last


def _set_aside(segment: Segment, before: int, later: Sequence[Segment], *, known: int) -> int:
    """Move a damaged segment aside and return the last sequence number that it may have held."""
    own = _first(segment)
    begins = (first for one in later if (first := _first(one)) is not None)
    last = max(before, next(begins, known + 1) - 1)
    aside = lost.set_aside(segment.path, lost.Range(segment.worker, own or before + 1, last))
    _log.error(
        "journal: %s is damaged; it lies in %s, %d requests at most are lost",
        segment.path.name,
        aside,
        last - before,
    )
    return last


def _first(segment: Segment) -> int | None:
    try:
        with closing(sqlite3.connect(segment.path, timeout=1.0)) as connection:
            row = connection.execute("SELECT value FROM meta WHERE key = 'first'").fetchone()
    except sqlite3.Error:
        return None
    return None if row is None else int(row[0])


def _is_whole(connection: sqlite3.Connection) -> bool:
    """Tell a segment from a file that was born in the moment of death and lacks its tables."""
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return {"request", "meta"} <= {name for (name,) in names}


def _seal_abandoned(connection: sqlite3.Connection, before: int) -> int:
    facts = dict(connection.execute("SELECT key, value FROM meta"))
    if "last" in facts:
        return int(facts["last"])
    (newest,) = connection.execute("SELECT max(position) FROM request").fetchone()
    # Earlier segments may have been consumed: an empty one still says where the next row belongs.
    last = max(before, facts.get("first", 1) - 1) if newest is None else sequence_of(newest)
    with connection:
        connection.execute("INSERT OR IGNORE INTO meta VALUES ('first', ?)", (last + 1,))
    _seal(connection, last)
    return last


def remove(segment: Segment) -> None:
    """Delete a segment whole."""
    for suffix in ("", "-wal", "-shm"):
        Path(f"{segment.path}{suffix}").unlink(missing_ok=True)


def _file_system(directory: Path, mounts_file: Path) -> str | None:
    """Return the kind of file system a directory lies on; None where the system does not say."""
    try:
        lines = mounts_file.read_text().splitlines()
    except OSError:
        return None
    split = [fields for line in lines if len(fields := line.split()) > 2]
    mounts = {fields[1].replace("\\040", " "): fields[2] for fields in split}
    for place in (directory, *directory.parents):
        if (kind := mounts.get(str(place))) is not None:
            return kind
    return None


def size_of(path: Path) -> int:
    """Return a file's size in bytes; 0 if it is gone."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
