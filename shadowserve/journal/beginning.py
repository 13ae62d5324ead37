"""Where in the journal a moment lies: the first request that is still held and arrived no earlier."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path

from shadowserve.errors import DamagedError
from shadowserve.journal.segment_file import segments
from shadowserve.journal.segment_reading import reading
from shadowserve.records import sequence_of

_ENDS = "SELECT min(position), max(position) FROM request"
_AT = "SELECT arrived_wall_ns FROM request WHERE position = ?"


def first_since(directory: Path, worker: int, *, arrived_wall_ns: int) -> int | None:
    """Return the sequence number of a worker's first request that arrived at a moment or later.

    Requests of one worker are journaled nearly in the order of their arrival, as callers' batches are: so it is
    found by halving, and what lies about it may be a batch off.

    Parameters
    ----------
    arrived_wall_ns : int
        Since the epoch; 0 for the oldest that is held.

    Returns
    -------
    int or None
        None where nothing as young is held.
    """
    for segment in segments(directory, worker=worker):
        with suppress(DamagedError), reading(segment) as connection:
            found = _first(connection, arrived_wall_ns)
            if found is not None:
                return sequence_of(found)
    return None


def _first(connection: sqlite3.Connection, arrived_wall_ns: int) -> int | None:
    low, high = connection.execute(_ENDS).fetchone()
    if low is None or _arrived(connection, high) < arrived_wall_ns:
        return None
    while low < high:
        middle = (low + high) // 2
        if _arrived(connection, middle) < arrived_wall_ns:
            low = middle + 1
        else:
            high = middle
    return int(low)


def _arrived(connection: sqlite3.Connection, position: int) -> int:
    # No sequence number is left out within a segment.
    row = connection.execute(_AT, (position,)).fetchone()
    return 0 if row is None else int(row[0])
