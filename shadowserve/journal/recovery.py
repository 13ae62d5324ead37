"""Recovery of a dead worker's journal: open segments are sealed, damaged ones moved aside."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from shadowserve.errors import JournalError
from shadowserve.journal import lost
from shadowserve.journal.segment_file import Segment, remove, seal, segments
from shadowserve.journal.segment_reading import is_damage
from shadowserve.records import sequence_of

_log = logging.getLogger(__name__)


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
            if is_damage(error):
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
    # It ends where the next segment begins; of the newest, only the worker's counters know the end.
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
    last = max(before, facts.get("first", 1) - 1) if newest is None else sequence_of(int(newest))
    with connection:
        connection.execute("INSERT OR IGNORE INTO meta VALUES ('first', ?)", (last + 1,))
    seal(connection, last)
    return last
