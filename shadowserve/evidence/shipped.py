"""What has reached MLflow: the writer's memory, in one small SQLite file of its own.

Only this process writes it. What is noted here was delivered; what was delivered and not yet noted,
because the process died in between, is delivered again and changes nothing in MLflow.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

_TABLES = """
CREATE TABLE IF NOT EXISTS lane (
    name TEXT PRIMARY KEY, run_id TEXT NOT NULL, delivered INTEGER NOT NULL DEFAULT -1
);
CREATE TABLE IF NOT EXISTS sent (lane TEXT, name TEXT, PRIMARY KEY (lane, name));
CREATE TABLE IF NOT EXISTS finished (lane TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS lost (lane TEXT PRIMARY KEY, n INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS name (
    lane TEXT, original TEXT, safe TEXT, PRIMARY KEY (lane, original)
);
"""


class Shipped:
    """The writer's memory.

    Parameters
    ----------
    path : Path
        Created with mode 0600 if missing. It is no WAL file: the archive moves it as one file.
    deployment : str
        Whose lanes are meant; another one's are not seen.
    """

    def __init__(self, path: Path, deployment: str) -> None:
        self._deployment = deployment
        try:
            self._connection = _opened(path)
        # A lock or a full disk passes, and the file is sound.
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:  # what is forgotten is delivered again, which does no harm
            path.replace(path.with_suffix(".broken"))
            self._connection = _opened(path)

    def run_id(self, lane: str) -> str | None:
        """Return the lane's run; None before it is known."""
        row = self._one("SELECT run_id FROM lane WHERE name = ?", lane)
        return None if row is None else str(row[0])

    def delivered(self, lane: str) -> int:
        """Return the number of the last window that has arrived; -1 before the first."""
        row = self._one("SELECT delivered FROM lane WHERE name = ?", lane)
        return -1 if row is None else int(row[0])

    def begin(self, lane: str, run_id: str) -> None:
        """Note a lane's run, of which nothing has been delivered."""
        with self._connection:
            self._connection.execute(
                "INSERT OR REPLACE INTO lane VALUES (?, ?, -1)", (self._of(lane), run_id)
            )

    def forget(self, lane: str) -> None:
        """Forget a lane's run and what it held."""
        with self._connection:
            self._connection.execute("DELETE FROM lane WHERE name = ?", (self._of(lane),))
            for table in ("name", "sent"):
                self._connection.execute(f"DELETE FROM {table} WHERE lane = ?", (self._of(lane),))  # noqa: S608

    def arrived(self, lane: str, window: int, *, lost: bool = False) -> None:
        """Note that a window, and all before it, has arrived; `lost`: without its comparisons."""
        with self._connection:
            self._connection.execute(
                # Never back: after a restart the same windows may be brought once more.
                "UPDATE lane SET delivered = max(delivered, ?) WHERE name = ?",
                (window, self._of(lane)),
            )
            self._connection.execute(
                "INSERT INTO lost VALUES (?, ?) ON CONFLICT (lane) DO UPDATE SET n = n + excluded.n",
                (self._of(lane), int(lost)),
            )

    def lost(self, lane: str) -> int:
        """Return how many windows arrived without their comparisons."""
        row = self._one("SELECT n FROM lost WHERE lane = ?", lane)
        return 0 if row is None else int(row[0])

    def finish(self, lane: str, *, finished: bool = True) -> None:
        """Note that a lane's run was marked as finished, or that it goes on."""
        sql = "INSERT OR IGNORE INTO finished VALUES (?)"
        if not finished:
            sql = "DELETE FROM finished WHERE lane = ?"
        with self._connection:
            self._connection.execute(sql, (self._of(lane),))

    def is_finished(self, lane: str) -> bool:
        """Tell whether a lane's run was marked as finished."""
        return self._one("SELECT lane FROM finished WHERE lane = ?", lane) is not None

    def names(self, lane: str) -> dict[str, str]:
        """Return the renamed metrics of a lane: original to stored name."""
        query = "SELECT original, safe FROM name WHERE lane = ? ORDER BY original"
        return dict(self._connection.execute(query, (self._of(lane),)))

    def add_names(self, lane: str, renamed: Mapping[str, str]) -> None:
        """Note renamed metrics."""
        with self._connection:
            self._connection.executemany(
                "INSERT OR REPLACE INTO name VALUES (?, ?, ?)",
                [(self._of(lane), original, safe) for original, safe in renamed.items()],
            )

    def sent(self, lane: str) -> frozenset[str]:
        """Return the original names of all metrics that a lane's run has."""
        query = "SELECT name FROM sent WHERE lane = ?"
        found = self._connection.execute(query, (self._of(lane),))
        return frozenset(name for (name,) in found)

    def add_sent(self, lane: str, names: Collection[str]) -> None:
        """Note names that are about to be sent."""
        with self._connection:
            self._connection.executemany(
                "INSERT OR IGNORE INTO sent VALUES (?, ?)", [(self._of(lane), n) for n in names]
            )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _of(self, lane: str) -> str:
        return f"{self._deployment}: {lane}"

    def _one(self, query: str, lane: str) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._connection.execute(query, (self._of(lane),)).fetchone()
        return row


def _opened(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = sqlite3.connect(path, timeout=10.0)
    connection.executescript(_TABLES)
    return connection
