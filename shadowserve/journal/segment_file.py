"""A segment: one file of the journal, created with its tables, begun, sealed, and deleted whole."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

PAGE_BYTES = 2_048
"""An append writes whole pages. These fit rows of 1 to 2 kB, and 14 kB is appended as quickly as in 4,096."""
APPEND_WAIT_MS = 5
TABLES = """
CREATE TABLE IF NOT EXISTS request (
    position INTEGER PRIMARY KEY, request_id TEXT, arrived_wall_ns INTEGER, arrived_ns INTEGER,
    protocol TEXT, content_type TEXT, body BLOB, status INTEGER, answer BLOB, n_rows INTEGER,
    times BLOB, unit INTEGER, replay TEXT
);
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value);
"""


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


def create(path: Path) -> sqlite3.Connection:
    """Make a segment's file, readable by its owner alone, and open it to be written; where that fails, leave none."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    wait = APPEND_WAIT_MS / 1000
    connection = sqlite3.connect(path, timeout=wait, check_same_thread=False)
    try:
        # The size of pages is fixed by the first thing that is written.
        connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode=WAL")
        # A process's death loses nothing without it; power loss may, and to wait for the disk takes
        # milliseconds.
        connection.execute("PRAGMA synchronous=OFF")
        # No append is to pay for a checkpoint: closing makes one, on another thread.
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.executescript(TABLES)
    except sqlite3.Error:
        connection.close()
        for suffix in ("", "-wal", "-shm"):  # a try each second must not leave a file each second
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        raise
    return connection


def begin(connection: sqlite3.Connection, *, first: int, steps: str) -> None:
    """Write down the first sequence number, and the plan's steps as JSON."""
    facts = [("first", first), ("steps", steps)]
    with connection:
        connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", facts)


def seal(connection: sqlite3.Connection, last: int) -> None:
    """Write down the last sequence number: no row comes after."""
    with connection:
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('last', ?)", (last,))


def remove(segment: Segment) -> None:
    """Delete a segment whole."""
    for suffix in ("", "-wal", "-shm"):
        Path(f"{segment.path}{suffix}").unlink(missing_ok=True)


def size_of(path: Path) -> int:
    """Return a file's size in bytes; 0 if it is gone."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
