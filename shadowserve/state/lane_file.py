"""A lane's own file: cursor, ledger and summaries, changed together or not at all.

One SQLite file per lane, written by the lane alone. A commit holds the cursor with everything that
was learnt up to it, so that a lane killed at any instant goes on without losing or counting twice.
The console, the report and the evidence writer read it (`lane_reading`).
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shadowserve.records import Outcome, position, worker_of
from shadowserve.state.death import Death

Unwritable = sqlite3.OperationalError
"""What writing or opening the file raises on a full disk or under a foreign lock."""

TABLES = """
CREATE TABLE IF NOT EXISTS ledger (outcome TEXT PRIMARY KEY, n INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS cursor (worker INTEGER PRIMARY KEY, sequence INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS joined (worker INTEGER PRIMARY KEY, sequence INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS death (
    position INTEGER PRIMARY KEY, n INTEGER, cause TEXT, detail TEXT, last TEXT
);
CREATE TABLE IF NOT EXISTS summary (name TEXT PRIMARY KEY, state BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS comparison (
    position INTEGER PRIMARY KEY, window INTEGER NOT NULL, record BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS piece (
    id INTEGER PRIMARY KEY, window INTEGER NOT NULL, n INTEGER NOT NULL, record BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS burst (
    position INTEGER PRIMARY KEY, burst INTEGER, place INTEGER, record BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS cell (
    id INTEGER PRIMARY KEY, position INTEGER UNIQUE NOT NULL, mark TEXT NOT NULL, members BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS window (
    number INTEGER PRIMARY KEY, opened_ns INTEGER, closed_ns INTEGER, n INTEGER,
    metrics BLOB, part TEXT
);
CREATE INDEX IF NOT EXISTS comparison_window ON comparison (window);
"""
KEPT_CELLS = 100_000
"""Requests whose cells are kept for labels; the oldest make room."""


@dataclass(slots=True)
class Progress:
    """What one commit adds to the state file.

    Parameters
    ----------
    outcomes : mapping of Outcome to int
        How many requests ended in which way since the last commit.
    cursor : mapping of worker to sequence
        How far the journal has been dealt with.
    comparisons : list of (position, window, record)
        The window's rows, until they lie in a Parquet part.
    pieces : list of (window, n, record)
        Many rows of a window at once, until then.
    bursts : list of (position, burst, place, record)
        Requests that challenger and control both time.
    summaries : mapping of name to bytes
        The summaries' states.
    cells : list of (position, mark, bits)
        Which cells of the slices requests lie in.
    """

    outcomes: dict[Outcome, int] = field(default_factory=dict)
    cursor: dict[int, int] = field(default_factory=dict)
    comparisons: list[tuple[int, int, bytes]] = field(default_factory=list)
    pieces: list[tuple[int, int, bytes]] = field(default_factory=list)
    bursts: list[tuple[int, int, int, bytes]] = field(default_factory=list)
    summaries: dict[str, bytes] = field(default_factory=dict)
    cells: list[tuple[int, str, bytes]] = field(default_factory=list)

    def count(self, outcome: Outcome, n: int = 1) -> None:
        """Add `n` requests to an outcome."""
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + n


@dataclass(frozen=True, slots=True)
class Window:
    """One closed window: its number, time range, requests, metrics and part.

    Parameters
    ----------
    number, n : int
        Running number from 0, without gaps, and the requests that fell into it.
    opened_ns, closed_ns : int
        Since the epoch.
    metrics : bytes
        JSON object of finite numbers by metric name.
    part : str or None
        File name of the Parquet part; None until it is written.
    """

    number: int
    opened_ns: int
    closed_ns: int
    n: int
    metrics: bytes
    part: str | None


class LaneState:
    """The lane's side of its file.

    Parameters
    ----------
    path : Path
        Created with mode 0600 if missing.
    burst_rows : int
        How many burst rows are kept, of all workers alike; the oldest make room.
    """

    def __init__(self, path: Path, *, burst_rows: int = 20_000) -> None:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._connection = sqlite3.connect(path, timeout=10.0)
        self._connection.execute("PRAGMA journal_mode=WAL")
        # Kills are survived all the same; only a loss of power could cost more than the last
        # commits.
        self._connection.execute("PRAGMA synchronous=OFF")
        self._connection.executescript(TABLES)
        self._burst_rows = burst_rows

    def join(self, after: Mapping[int, int]) -> None:
        """Begin behind some sequences, by worker: what came before is none of this lane's."""
        with self._connection as connection:
            for table in ("cursor", "joined"):
                connection.executemany(f"INSERT INTO {table} VALUES (?, ?)", after.items())  # noqa: S608

    def cursor(self) -> dict[int, int]:
        """Return the last sequence dealt with, by worker."""
        return dict(self._connection.execute("SELECT worker, sequence FROM cursor"))

    def summaries(self) -> dict[str, bytes]:
        """Return the summaries' states as of the cursor."""
        return dict(self._connection.execute("SELECT name, state FROM summary"))

    def deaths(self) -> dict[int, tuple[int, str]]:
        """Return how often, and of what cause last, the lane died with a position in hand."""
        rows = self._connection.execute("SELECT position, n, cause FROM death")
        return {place: (n, cause) for place, n, cause in rows}

    def record_death(self, death: Death) -> None:
        """Count a death against the positions that were in hand; one from outside counts nothing."""
        if death.cause == "outside":
            return
        detail = json.dumps({"step": death.step, "worked_ms": death.worked_ms})
        with self._connection:
            self._connection.executemany(
                "INSERT INTO death VALUES (?, 1, ?, ?, ?) ON CONFLICT (position) DO UPDATE SET "
                "n = n + 1, cause = excluded.cause, detail = excluded.detail, last = excluded.last "
                # A note of death may be read twice, by a lane that died again before it had
                # committed.
                "WHERE last != excluded.last",
                [(place, death.cause, detail, death.id) for place in death.positions],
            )

    def death_detail(self, place: int) -> dict[str, Any]:
        """Return step and time of the last death over a position; empty if there was none."""
        query = "SELECT detail FROM death WHERE position = ?"
        row = self._connection.execute(query, (place,)).fetchone()
        return {} if row is None else dict(json.loads(row[0]))

    def commit(self, progress: Progress) -> None:
        """Write all of it in one transaction."""
        with self._connection as connection:
            connection.executemany(
                "INSERT INTO ledger VALUES (?, ?) ON CONFLICT (outcome) DO UPDATE SET n = n + excluded.n",
                [(outcome.value, n) for outcome, n in progress.outcomes.items()],
            )
            connection.executemany(
                "INSERT OR REPLACE INTO cursor VALUES (?, ?)", progress.cursor.items()
            )
            connection.executemany(
                # Replaced, for a request that was in hand at a death is scored, and told, again.
                "INSERT OR REPLACE INTO comparison VALUES (?, ?, ?)",
                progress.comparisons,
            )
            connection.executemany(
                "INSERT INTO piece (window, n, record) VALUES (?, ?, ?)", progress.pieces
            )
            connection.executemany(
                "INSERT OR REPLACE INTO burst VALUES (?, ?, ?, ?)", progress.bursts
            )
            connection.executemany(
                "INSERT OR REPLACE INTO summary VALUES (?, ?)", progress.summaries.items()
            )
            connection.executemany(
                "INSERT OR REPLACE INTO cell (position, mark, members) VALUES (?, ?, ?)",
                progress.cells,
            )
            self._forget(connection, progress)

    def _forget(self, connection: sqlite3.Connection, progress: Progress) -> None:
        for worker, sequence in progress.cursor.items():
            # What lies behind the cursor was dealt with, whatever had died over it.
            passed = (position(worker, 0), position(worker, sequence))
            connection.execute("DELETE FROM death WHERE position > ? AND position <= ?", passed)
        if progress.cells:
            oldest = "DELETE FROM cell WHERE id <= (SELECT max(id) FROM cell) - ?"
            connection.execute(oldest, (KEPT_CELLS,))
        for worker in {worker_of(row[0]) for row in progress.bursts}:
            self._forget_bursts(connection, worker)

    def _forget_bursts(self, connection: sqlite3.Connection, worker: int) -> None:
        """Drop a worker's oldest bursts: each worker keeps its share, or the last one's alone would live."""
        (workers,) = connection.execute("SELECT max(1, count(*)) FROM cursor").fetchone()
        own = (position(worker, 0), position(worker + 1, 0))
        connection.execute(
            "DELETE FROM burst WHERE position > ? AND position <= (SELECT position FROM burst "
            "WHERE position > ? AND position < ? ORDER BY position DESC LIMIT 1 OFFSET ?)",
            (own[0], *own, self._burst_rows // workers),
        )

    def close_window(self, window: Window) -> None:
        """Close a window for good: from here on its rows wait to become a part."""
        with self._connection:
            self._connection.execute(
                # Once closed, a window stays as it was: its numbers may have been sent already.
                "INSERT OR IGNORE INTO window VALUES (?, ?, ?, ?, ?, NULL)",
                (window.number, window.opened_ns, window.closed_ns, window.n, window.metrics),
            )

    def outcomes(self) -> dict[str, int]:
        """Return how many requests ended in which way so far."""
        return dict(self._connection.execute("SELECT outcome, n FROM ledger"))

    def last_metrics(self) -> dict[str, float]:
        """Return the metrics of the window that was closed last; empty if there is none."""
        query = "SELECT metrics FROM window ORDER BY number DESC LIMIT 1"
        row = self._connection.execute(query).fetchone()
        return {} if row is None else dict(json.loads(row[0]))

    def windows_without_part(self) -> list[int]:
        """Return the closed windows whose rows still lie here."""
        rows = self._connection.execute(
            "SELECT number FROM window WHERE part IS NULL ORDER BY number"
        )
        return [number for (number,) in rows]

    def comparisons(self, window: int) -> list[bytes]:
        """Return a window's rows in the order of positions."""
        query = "SELECT record FROM comparison WHERE window = ? ORDER BY position"
        return [record for (record,) in self._connection.execute(query, (window,))]

    def pieces(self, window: int) -> list[bytes]:
        """Return what a window holds of many rows at once, in the order of commits."""
        query = "SELECT record FROM piece WHERE window = ? ORDER BY id"
        return [record for (record,) in self._connection.execute(query, (window,))]

    def part_written(self, window: int, part: str) -> None:
        """Note a window's part and drop the rows that lie in it."""
        with self._connection as connection:
            connection.execute("UPDATE window SET part = ? WHERE number = ?", (part, window))
            # In the same transaction: rows lie here or in a part, never in both or in neither.
            connection.execute("DELETE FROM comparison WHERE window = ?", (window,))
            connection.execute("DELETE FROM piece WHERE window = ?", (window,))

    def next_window(self) -> int:
        """Return the number of the open window."""
        (last,) = self._connection.execute("SELECT max(number) FROM window").fetchone()
        return 0 if last is None else int(last) + 1

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
