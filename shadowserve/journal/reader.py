"""Reading the journal: in order, from a cursor, while it is being written.

A `JournalReader` belongs to one lane. It walks each worker's segments by number and says how many requests
were deleted before they could be read, so that the ledger still balances.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from shadowserve.errors import DamagedError, UnreadableError
from shadowserve.journal import lost
from shadowserve.journal.database import readable
from shadowserve.journal.writer import Segment, segments
from shadowserve.records import Request, position, sequence_of, worker_of

READ_BYTES = 32 * 2**20
Cursor = dict[int, int]


@dataclass(slots=True)
class _Reader:
    """One worker's open segment and how far it was read."""

    segment: Segment
    connection: sqlite3.Connection
    steps: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """What one reading brought.

    Parameters
    ----------
    requests : list of Request
        In the order of each worker's sequence.
    deleted : int
        Requests that the budget deleted before this reading reached them.
    lost : int
        Requests whose segment was damaged before this reading reached them.
    cursor : dict of worker to sequence
        Where the journal has been read to, after these requests.
    """

    requests: list[Request]
    deleted: int
    cursor: Cursor
    lost: int = 0


class JournalReader:
    """Follows the journal from a cursor.

    Parameters
    ----------
    directory : Path
        The journal's directory.
    cursor : mapping of worker to sequence
        The last sequence number that was dealt with, for each worker; missing means none.
    """

    def __init__(self, directory: Path, *, cursor: Mapping[int, int]) -> None:
        self._directory = directory
        self._cursor: Cursor = dict(cursor)
        self._readers: dict[int, _Reader] = {}

    @property
    def cursor(self) -> Mapping[int, int]:
        """The last sequence number that was read, for each worker."""
        return self._cursor

    def steps(self, worker: int) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return names and columns of the champion's steps, as that worker's segment tells."""
        reader = self._readers.get(worker)
        if reader is None:
            return ()
        if not reader.steps:
            reader.steps = _steps(reader.connection)
        return reader.steps

    def read(self, limit: int, *, upto: Mapping[int, int] | None = None) -> Batch:
        """Read at most `limit` requests (and about 32 MiB), without waiting.

        Parameters
        ----------
        limit : int
            Requests.
        upto : mapping of worker to sequence, optional
            Go no further than these; workers that are missing are not read at all.
        """
        requests: list[Request] = []
        deleted = gone = 0
        workers = sorted({segment.worker for segment in segments(self._directory)})
        for worker in workers:
            share = max(1, (limit - len(requests)) // (len(workers) - workers.index(worker)))
            if upto is not None:
                share = min(share, upto.get(worker, 0) - self._cursor.get(worker, 0))
            if share <= 0:
                continue
            before = self._cursor.get(worker, 0)
            found, gap = self._read_worker(worker, share)
            damaged = _lost(self._directory, worker, after=before, found=found, gap=gap)
            requests += found
            deleted += gap - damaged
            gone += damaged
        return Batch(requests=requests, deleted=deleted, cursor=dict(self._cursor), lost=gone)

    def close(self) -> None:
        """Close the open segments."""
        for reader in self._readers.values():
            reader.connection.close()
        self._readers.clear()

    def _read_worker(self, worker: int, limit: int) -> tuple[list[Request], int]:
        deleted = 0
        while (reader := self._reader(worker)) is not None:
            first, last = _extent(reader.connection)
            done = self._cursor.get(worker, 0)
            if first is not None and first > done + 1:
                deleted += first - done - 1
                done = self._cursor[worker] = first - 1
            try:
                found = list(_rows(reader.connection, after=position(worker, done), limit=limit))
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                reader = self._readers.pop(worker)
                reader.connection.close()
                lost.mark(reader.segment.path)  # whoever keeps the journal moves it aside
                break
            if found:
                self._cursor[worker] = sequence_of(found[-1].position)
                return found, deleted
            if last is None and not reader.segment.path.exists():
                self._readers.pop(worker).connection.close()  # a spare that its writer took along
            elif last is None or not self._advance(worker, reader):
                break
        return [], deleted

    def _reader(self, worker: int) -> _Reader | None:
        if worker not in self._readers:
            found = segments(self._directory, worker=worker)
            opened = _open(found[0]) if found else None
            if opened is None:
                return None
            self._readers[worker] = opened
        return self._readers[worker]

    def _advance(self, worker: int, reader: _Reader) -> bool:
        """Go on to the next segment once the present one is sealed and read."""
        later = [s for s in segments(self._directory, worker=worker) if s > reader.segment]
        opened = _open(later[0]) if later else None
        if opened is None:
            return False
        reader.connection.close()
        self._readers[worker] = opened
        return True


@dataclass(frozen=True, slots=True)
class Backlog:
    """What lies in the journal beyond a cursor, bounded at one position per worker.

    Parameters
    ----------
    pending : int
        Requests that can still be read, counted.
    deleted : int
        Requests that were deleted unread.
    oldest_wall_ns : int or None
        Arrival of the oldest pending request, since the epoch.
    lost : int
        Requests that lay in a damaged segment, unread.
    """

    pending: int = 0
    deleted: int = 0
    oldest_wall_ns: int | None = None
    lost: int = 0


@dataclass(slots=True)
class Extent:
    """How far the journal reaches: the last sequence number and the counts by status."""

    last: Cursor = field(default_factory=dict)
    bytes: int = 0


def extent(directory: Path) -> Extent:
    """Return each worker's last journaled sequence number, and the bytes on disk."""
    result = Extent()
    for segment in segments(directory):
        result.bytes += segment.bytes
        with suppress(DamagedError), _reading(segment) as connection:
            first, last = _extent(connection)
            (newest,) = connection.execute("SELECT max(position) FROM request").fetchone()
            ends = [0 if newest is None else sequence_of(newest), last or 0, (first or 1) - 1]
            result.last[segment.worker] = max(result.last.get(segment.worker, 0), *ends)
    return result


def statuses(directory: Path, *, worker: int, after: int, upto: int) -> dict[int, int]:
    """Count a worker's journaled requests by status above one sequence number and up to another."""
    counts: dict[int, int] = {}
    limits = (position(worker, after), position(worker, upto))
    query = (
        "SELECT status, count(*) FROM request WHERE position > ? AND position <= ? GROUP BY status"
    )
    for segment in segments(directory, worker=worker) if upto > after else ():
        with suppress(DamagedError), _reading(segment) as connection:
            for status, count in connection.execute(query, limits):
                counts[status] = counts.get(status, 0) + count
    return counts


def backlog(directory: Path, *, cursor: Mapping[int, int], bound: Mapping[int, int]) -> Backlog:
    """Count what lies beyond a cursor, up to a bound.

    Parameters
    ----------
    directory : Path
        The journal's directory.
    cursor, bound : mapping of worker to sequence
        Count sequence numbers above the one and up to the other.
    """
    pending, wanted, gone, damaged, oldest = 0, 0, 0, False, None
    query = (
        "SELECT count(*), min(arrived_wall_ns) FROM request WHERE position > ? AND position <= ?"
    )
    for worker, end in bound.items():
        start = cursor.get(worker, 0)
        wanted += max(0, end - start)
        gone += lost.count(directory, worker=worker, after=start, upto=end)
        limits = (position(worker, start), position(worker, end))
        for segment in segments(directory, worker=worker):
            try:
                with _reading(segment) as connection:
                    count, arrived = connection.execute(query, limits).fetchone()
            except DamagedError:  # not moved aside yet
                damaged = True
            else:
                pending += count
                oldest = min(filter(None, (oldest, arrived)), default=None)
    gone = wanted - pending if damaged else min(gone, wanted - pending)
    deleted = wanted - pending - gone
    return Backlog(pending=pending, deleted=deleted, oldest_wall_ns=oldest, lost=gone)


def reach(segment: Segment) -> tuple[int | None, int | None]:
    """Return a segment's first sequence number and, once it is sealed, its last.

    Raises
    ------
    DamagedError
        If it can no longer be read.
    UnreadableError
        If it cannot be read now.
    """
    with _reading(segment) as connection:
        return _extent(connection)


def _lost(directory: Path, worker: int, *, after: int, found: list[Request], gap: int) -> int:
    """Return how much of a gap before what was found is noted as lost; the rest the budget deleted."""
    if not gap:
        return 0
    upto = sequence_of(found[0].position) - 1 if found else after + gap
    return min(gap, lost.count(directory, worker=worker, after=after, upto=upto))


def find(directory: Path, place: int) -> Request | None:
    """Return one request by position while its segment exists."""
    for segment in segments(directory, worker=worker_of(place)):
        with _reading(segment) as connection:
            for request in _rows(connection, after=place - 1, limit=1):
                if request.position == place:
                    return request
    return None


@contextmanager
def _reading(segment: Segment) -> Iterator[sqlite3.Connection]:
    """Look shortly into a segment, which may be deleted at any moment."""
    try:
        with readable(segment.path) as address, closing(_look(segment.path, address)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise _unreadable(segment.path, error) from error


def is_damage(error: sqlite3.Error) -> bool:
    """Tell a malformed file from one that is locked, on a failing disk, or asked in a wrong way."""
    return type(error) is sqlite3.DatabaseError


def _unreadable(path: Path, error: sqlite3.Error) -> UnreadableError:
    return (DamagedError if is_damage(error) else UnreadableError)(path, error)


def _look(path: Path, address: str) -> sqlite3.Connection:
    return _connect(path, address) or _nothing()


def _connect(path: Path, address: str) -> sqlite3.Connection | None:
    """Open a segment; None if it is deleted, or so young that it holds no table yet.

    Raises
    ------
    UnreadableError
        If it is there and cannot be read: its requests must not pass for deleted ones.
    """
    try:
        connection = sqlite3.connect(address, uri=True, timeout=1.0)
        try:
            connection.execute("SELECT 1 FROM meta LIMIT 1")
        except sqlite3.Error:
            connection.close()
            raise
    except sqlite3.Error as error:
        if "no such table" in str(error) or not path.exists():
            return None
        raise _unreadable(path, error) from error
    return connection


def _nothing() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.executescript(_EMPTY)
    return connection


_EMPTY = (
    "CREATE TABLE meta (key, value); CREATE TABLE request (position INTEGER PRIMARY KEY,"
    "request_id, arrived_wall_ns, arrived_ns, protocol, content_type, body, status, answer,"
    "n_rows, times, unit)"
)


def _open(segment: Segment) -> _Reader | None:
    """Open a segment to follow it; None if that must be tried again."""
    try:
        connection = _connect(segment.path, f"{segment.path.resolve().as_uri()}?mode=rw")
    except UnreadableError:
        return None
    if connection is None:
        return None
    return _Reader(segment=segment, connection=connection, steps=_steps(connection))


def _steps(connection: sqlite3.Connection) -> tuple[tuple[str, tuple[str, ...]], ...]:
    row = connection.execute("SELECT value FROM meta WHERE key = 'steps'").fetchone()
    return tuple((name, tuple(columns)) for name, columns in json.loads(row[0])) if row else ()


def _extent(connection: sqlite3.Connection) -> tuple[int | None, int | None]:
    facts = dict(connection.execute("SELECT key, value FROM meta WHERE key IN ('first', 'last')"))
    return facts.get("first"), facts.get("last")


def _rows(connection: sqlite3.Connection, *, after: int, limit: int) -> Iterator[Request]:
    size = 0
    query = "SELECT * FROM request WHERE position > ? ORDER BY position LIMIT ?"
    for row in connection.execute(query, (after, limit)):
        yield Request(*row)
        size += len(row[6] or b"") + len(row[8])
        if size >= READ_BYTES:
            return
