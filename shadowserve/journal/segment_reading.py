"""Reading one segment, which may be deleted at any moment: its rows, its steps, how far it reaches."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from shadowserve.errors import DamagedError, UnreadableError
from shadowserve.journal.database import readable
from shadowserve.journal.segment_file import TABLES, Segment
from shadowserve.records import Request

READ_BYTES = 32 * 2**20


@contextmanager
def reading(segment: Segment) -> Iterator[sqlite3.Connection]:
    """Look shortly into a segment, which may be deleted at any moment."""
    try:
        with readable(segment.path) as address, closing(_look(segment.path, address)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise _unreadable(segment.path, error) from error


def is_damage(error: sqlite3.Error) -> bool:
    """Tell a malformed file from one that is locked, on a failing disk, or asked in a wrong way."""
    # For a lock, a full disk or a wrong query the driver raises a subclass.
    return type(error) is sqlite3.DatabaseError


def _unreadable(path: Path, error: sqlite3.Error) -> UnreadableError:
    return (DamagedError if is_damage(error) else UnreadableError)(path, error)


def _look(path: Path, address: str) -> sqlite3.Connection:
    # Callers then need no case of their own for a segment that is gone.
    return connect(path, address) or _nothing()


def connect(path: Path, address: str) -> sqlite3.Connection | None:
    """Open a segment; None if it is deleted, or so young that it holds no table yet.

    Raises
    ------
    UnreadableError
        If it is there and cannot be read: its requests must not pass for deleted ones.
    """
    try:
        # Opening reads nothing yet; the first query finds what is wrong.
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
    connection.executescript(TABLES)
    return connection


def steps_of(connection: sqlite3.Connection) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the plan's steps with their columns; none where it had none."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'steps'").fetchone()
    return tuple((name, tuple(columns)) for name, columns in json.loads(row[0])) if row else ()


def extent_of(connection: sqlite3.Connection) -> tuple[int | None, int | None]:
    """Return the first sequence number and, of a sealed segment, the last."""
    facts = dict(connection.execute("SELECT key, value FROM meta WHERE key IN ('first', 'last')"))
    return facts.get("first"), facts.get("last")


def rows_of(connection: sqlite3.Connection, *, after: int, limit: int) -> Iterator[Request]:
    """Yield the requests beyond a position, at most so many, and no more once `READ_BYTES` are read."""
    size = 0
    query = "SELECT * FROM request WHERE position > ? ORDER BY position LIMIT ?"
    for row in connection.execute(query, (after, limit)):
        request = Request(*row)  # rows of an earlier release have fewer columns
        yield request
        size += len(request.body or b"") + len(request.answer)
        if size >= READ_BYTES:
            return
