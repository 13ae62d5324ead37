"""The journal's reader: requests in order, from a cursor, while the journal is being written.

A `JournalReader` belongs to one lane. It walks each worker's segments by number and says how many requests
were deleted before they could be read, so that the ledger still balances.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from shadowserve.errors import DamagedError, UnreadableError
from shadowserve.journal import lost, segment_reading
from shadowserve.journal.segment_file import Segment, segments
from shadowserve.journal.segment_reading import connect, extent_of, reading, rows_of, steps_of
from shadowserve.records import Request, position, sequence_of, worker_of

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
            reader.steps = steps_of(reader.connection)
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
            # What one worker leaves of its share, those after it get.
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
            first, last = extent_of(reader.connection)
            done = self._cursor.get(worker, 0)
            # No number is left out in writing, so those before this segment went with older ones.
            if first is not None and first > done + 1:
                deleted += first - done - 1
                done = self._cursor[worker] = first - 1
            try:
                found = list(rows_of(reader.connection, after=position(worker, done), limit=limit))
            except sqlite3.DatabaseError as error:
                if not segment_reading.is_damage(error):
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
    """How far the journal reaches: each worker's last sequence number, and the bytes on disk."""

    last: Cursor = field(default_factory=dict)
    bytes: int = 0


def extent(directory: Path) -> Extent:
    """Return each worker's last journaled sequence number, and the bytes on disk."""
    result = Extent()
    for segment in segments(directory):
        result.bytes += segment.bytes
        with suppress(DamagedError), reading(segment) as connection:
            first, last = extent_of(connection)
            (newest,) = connection.execute("SELECT max(position) FROM request").fetchone()
            # An empty segment still tells, by where it begins, how far the one before it reached.
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
        with suppress(DamagedError), reading(segment) as connection:
            for status, count in connection.execute(query, limits):
                counts[status] = counts.get(status, 0) + count
    return counts


def replayed(directory: Path, *, worker: int, after: int, upto: int) -> int:
    """Count those of them that a replay sent; segments of earlier releases know of none."""
    found, limits = 0, (position(worker, after), position(worker, upto))
    query = "SELECT count(replay) FROM request WHERE position > ? AND position <= ?"
    for segment in segments(directory, worker=worker) if upto > after else ():
        with suppress(DamagedError), reading(segment) as connection:
            columns = [row[1] for row in connection.execute("PRAGMA table_info(request)")]
            if "replay" in columns:
                found += connection.execute(query, limits).fetchone()[0]
    return found


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
                with reading(segment) as connection:
                    count, arrived = connection.execute(query, limits).fetchone()
            except DamagedError:  # not moved aside yet
                damaged = True
            else:
                pending += count
                oldest = min(filter(None, (oldest, arrived)), default=None)
    # While a damaged segment lies there, nobody knows what it holds: that must not pass for deleted.
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
    with reading(segment) as connection:
        return extent_of(connection)


def _lost(directory: Path, worker: int, *, after: int, found: list[Request], gap: int) -> int:
    """Return how much of a gap before what was found is noted as lost; the rest the budget deleted."""
    if not gap:
        return 0
    upto = sequence_of(found[0].position) - 1 if found else after + gap
    return min(gap, lost.count(directory, worker=worker, after=after, upto=upto))


def positions(directory: Path, *, request_id: str | None = None) -> Iterator[int]:
    """Yield the positions of the requests that are there, or of those with an id."""
    for segment in segments(directory):
        with reading(segment) as connection:
            if request_id is None:
                found = connection.execute("SELECT position FROM request WHERE body IS NOT NULL")
            else:
                query = "SELECT position FROM request WHERE request_id = ?"
                found = connection.execute(query, (request_id,))
            yield from (place for (place,) in found.fetchall())


def find(directory: Path, place: int) -> Request | None:
    """Return one request by position while its segment exists."""
    for segment in segments(directory, worker=worker_of(place)):
        with reading(segment) as connection:
            for request in rows_of(connection, after=place - 1, limit=1):
                if request.position == place:
                    return request
    return None


def _open(segment: Segment) -> _Reader | None:
    """Open a segment to follow it; None if that must be tried again."""
    try:
        # Not rwc, which would make a deleted segment anew. Not ro, which leaves behind the files that
        # it had to make beside the segment.
        connection = connect(segment.path, f"{segment.path.resolve().as_uri()}?mode=rw")
    except UnreadableError:
        return None
    if connection is None:
        return None
    return _Reader(segment=segment, connection=connection, steps=steps_of(connection))
