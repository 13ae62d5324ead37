"""Old requests that a challenger's lane keeps, to ask the version about them again.

One file in the form of a journal segment, with the bodies in it, so 0600 and like the journal: values
are here and nowhere else of the lane's. It is bounded, evenly spread over the deployment's life, and
gone with it. Nothing is kept where any column is dropped or hashed.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from shadowserve.records import Request

MOST = 1_024
MOST_BYTES = 64 * 2**10
"""A longer body is not kept."""
_TABLE = """
CREATE TABLE IF NOT EXISTS kept (
    position INTEGER PRIMARY KEY, arrived_wall_ns INTEGER, protocol TEXT, content_type TEXT, body BLOB,
    answer BLOB, n_rows INTEGER, lane_answer BLOB, begun INTEGER DEFAULT 0
);
"""
_READ = (
    "SELECT position, arrived_wall_ns, protocol, content_type, body, answer, n_rows, lane_answer "
    "FROM kept WHERE position IN (SELECT value FROM json_each(?))"
)


@dataclass(frozen=True, slots=True)
class Kept:
    """One old request.

    Parameters
    ----------
    request : Request
        With the champion's answer.
    lane_answer : bytes
        The challenger's of then.
    """

    request: Request
    lane_answer: bytes


class KeptRequests:
    """The writing side: one challenger's lane.

    Parameters
    ----------
    path : Path
        Made with mode 0600 at the first request that is kept.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._apart = 1
        self._offered = 0
        self._n = 0
        if path.exists():
            self._open()

    def keep(self, request: Request, lane_answer: bytes) -> None:
        """Keep a request, if it is its turn and fits."""
        self._offered += 1
        fits = request.body is not None and len(request.body) <= MOST_BYTES
        if self._offered % self._apart or not fits:
            return
        connection = self._connection or self._open()
        connection.execute(
            "INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)",
            (
                request.position, request.arrived_wall_ns, request.protocol, request.content_type,
                request.body, request.answer, request.n_rows, lane_answer,
            ),
        )  # fmt: skip
        self._n += 1
        if self._n > MOST:
            self._thin(connection)

    def before(self, arrived_wall_ns: int) -> list[int]:
        """Return the positions of those that arrived before a moment, oldest first."""
        if self._connection is None:
            return []
        query = "SELECT position FROM kept WHERE arrived_wall_ns < ? ORDER BY arrived_wall_ns"
        return [place for (place,) in self._connection.execute(query, (arrived_wall_ns,))]

    def begin(self, position: int, trial: int) -> bool:
        """Note that a request is about to be scored in a trial; False if it was before.

        A request that the process did not survive is not scored again.
        """
        if self._connection is None:
            return False
        query = "UPDATE kept SET begun = ? WHERE position = ? AND begun < ?"
        return self._connection.execute(query, (trial, position, trial)).rowcount == 1

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()

    def _open(self) -> sqlite3.Connection:
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(self._path, timeout=10.0, isolation_level=None)
        connection.execute("PRAGMA synchronous=OFF")
        # Bodies hold callers' values: what is deleted must be gone from the file too.
        connection.execute("PRAGMA secure_delete=ON")
        connection.executescript(_TABLE)
        # The file itself remembers how far apart its requests lie.
        self._apart = max(1, connection.execute("PRAGMA user_version").fetchone()[0])
        self._n = connection.execute("SELECT count(*) FROM kept").fetchone()[0]
        self._connection = connection
        return connection

    def _thin(self, connection: sqlite3.Connection) -> None:
        """Drop every second one, and keep half as many from now on."""
        self._apart *= 2
        connection.execute("BEGIN")
        connection.execute(
            "DELETE FROM kept WHERE position IN (SELECT position FROM "
            "(SELECT position, row_number() OVER (ORDER BY arrived_wall_ns) AS n FROM kept) WHERE n % 2 = 0)"
        )
        connection.execute(f"PRAGMA user_version = {int(self._apart)}")
        connection.execute("COMMIT")
        self._n = connection.execute("SELECT count(*) FROM kept").fetchone()[0]


def positions_of(path: Path, most: int) -> list[int]:
    """Return the positions of the newest requests that a lane has kept."""
    if not path.exists():
        return []
    query = "SELECT position FROM kept ORDER BY arrived_wall_ns DESC LIMIT ?"
    address = f"{path.resolve().as_uri()}?mode=rw"
    with closing(sqlite3.connect(address, uri=True, timeout=10.0)) as connection:
        return [place for (place,) in connection.execute(query, (most,))]


def read_kept(path: Path, positions: Collection[int]) -> list[Kept]:
    """Read some of the requests that a lane has kept; what is gone is left out."""
    if not path.exists() or not positions:
        return []
    address = f"{path.resolve().as_uri()}?mode=rw"
    with closing(sqlite3.connect(address, uri=True, timeout=10.0)) as connection:
        return [_read(row) for row in connection.execute(_READ, (json.dumps(list(positions)),))]


def kept_positions(path: Path) -> list[int]:
    """Return the positions of all requests that a lane has kept."""
    if not path.exists():
        return []
    address = f"{path.resolve().as_uri()}?mode=rw"
    with closing(sqlite3.connect(address, uri=True, timeout=10.0)) as connection:
        return [place for (place,) in connection.execute("SELECT position FROM kept")]


def _read(row: Sequence[object]) -> Kept:
    position, arrived, protocol, content_type, body, answer, n_rows, lane_answer = row
    request = Request(
        position=int(str(position)), request_id="", arrived_wall_ns=int(str(arrived)), arrived_ns=0,
        protocol=str(protocol), content_type=str(content_type), body=_bytes(body), status=200,
        answer=_bytes(answer), n_rows=int(str(n_rows)), times=b"",
    )  # fmt: skip
    return Kept(request, _bytes(lane_answer))


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""
