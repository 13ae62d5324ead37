"""Reading a lane's file: one consistent state of it, for those who only read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from shadowserve.errors import UnreadableError
from shadowserve.journal.database import readable
from shadowserve.state.lane_file import TABLES, Window

_NAMES = frozenset(("ledger", "cursor", "death", "summary", "comparison", "burst", "window"))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One consistent reading of a lane's file, for those who only read.

    Parameters
    ----------
    bursts : sequence of (position, burst, place, record)
        In the order of positions, without those that were left out.
    burst_positions : set of int
        Of all that the file keeps.
    joined : mapping of worker to sequence
        Behind what it began; empty where it was there from the start.
    """

    outcomes: Mapping[str, int]
    cursor: Mapping[int, int]
    summaries: Mapping[str, bytes]
    bursts: Sequence[tuple[int, int, int, bytes]]
    burst_positions: Set[int] = frozenset()
    windows: int = 0
    joined: Mapping[int, int] = field(default_factory=dict)


def snapshot(path: Path, *, whole: bool = True, without: Set[int] = frozenset()) -> Snapshot:
    """Read a lane's file in one transaction.

    Parameters
    ----------
    path : Path
        Missing means that the lane never started: all is empty.
    whole : bool
        Whether summaries and bursts are read too, or only what the ledger needs.
    without : set of int
        Positions whose records of bursts are known already, and are left out.

    Raises
    ------
    UnreadableError
        As all that read here.
    """
    with _looking(path) as connection:
        # One transaction sees one commit: cursor and counts from two would not balance.
        connection.execute("BEGIN")
        kept = {place for (place,) in _if(whole, connection, "SELECT position FROM burst")}
        return Snapshot(
            cursor=dict(connection.execute("SELECT worker, sequence FROM cursor")),
            outcomes=dict(connection.execute("SELECT outcome, n FROM ledger")),
            summaries=dict(_if(whole, connection, "SELECT name, state FROM summary")),
            bursts=_bursts(connection, kept - without) if kept else [],
            burst_positions=kept,
            windows=connection.execute("SELECT count(*) FROM window").fetchone()[0],
            joined=dict(_joined(connection)),
        )


def _bursts(connection: sqlite3.Connection, wanted: Set[int]) -> list[tuple[int, int, int, bytes]]:
    query = (
        "SELECT * FROM burst WHERE position IN (SELECT value FROM json_each(?)) ORDER BY position"
    )
    return connection.execute(query, (json.dumps(sorted(wanted)),)).fetchall()


def _joined(connection: sqlite3.Connection) -> Iterable[tuple[int, int]]:
    present = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'joined'"
    if connection.execute(present).fetchone() is None:  # an earlier release wrote it
        return ()
    return connection.execute("SELECT worker, sequence FROM joined")


def summary(path: Path, name: str) -> bytes | None:
    """Read one summary of a lane's file; None where there is none yet."""
    with _looking(path) as connection:
        query = "SELECT state FROM summary WHERE name = ?"
        row = connection.execute(query, (name,)).fetchone()
    return None if row is None else row[0]


def open_comparisons(path: Path) -> Iterator[bytes]:
    """Yield the comparisons that lie in no part yet, in the order of positions."""
    with _looking(path) as connection:
        for (record,) in connection.execute("SELECT record FROM comparison ORDER BY position"):
            yield record


def open_pieces(path: Path) -> Iterator[bytes]:
    """Yield what holds many comparisons at once that lie in no part yet: Arrow's stream format each."""
    with _looking(path) as connection:
        present = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'piece'"
        if connection.execute(present).fetchone() is None:  # an earlier release wrote it
            return
        for (record,) in connection.execute("SELECT record FROM piece ORDER BY id"):
            yield record


def cells_of(path: Path, positions: Sequence[int]) -> dict[int, tuple[str, bytes]]:
    """Return the mark and packed cells of some requests; those of which none are known are left out."""
    query = "SELECT position, mark, members FROM cell WHERE position IN (SELECT value FROM json_each(?))"
    with _looking(path) as connection:
        present = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'cell'"
        if connection.execute(present).fetchone() is None:  # an earlier release wrote it
            return {}
        rows = connection.execute(query, (json.dumps(list(positions)),))
        return {place: (mark, members) for place, mark, members in rows}


def closed_windows(path: Path, *, after: int) -> list[Window]:
    """Return the closed windows whose part is written, beyond a number, in order."""
    query = "SELECT * FROM window WHERE number > ? AND part IS NOT NULL ORDER BY number"
    with _looking(path) as connection:
        return [Window(*row) for row in connection.execute(query, (after,))]


def series(path: Path, metric: str, *, most: int) -> list[tuple[int, float]]:
    """Return when windows were closed and one of their metrics, in order.

    Parameters
    ----------
    metric : str
        A window that lacks it is left out.
    most : int
        Of more windows every second one is told, every fourth, …, and always the last.

    Returns
    -------
    list of (int, float)
        Nanoseconds since the epoch, and the value.
    """
    query = (
        "SELECT closed_ns, json_extract(CAST(metrics AS TEXT), ?) FROM window WHERE part IS NOT NULL "
        "AND (number % ? = 0 OR number = (SELECT max(number) FROM window)) ORDER BY number"
    )
    with _looking(path) as connection:
        row = connection.execute("SELECT max(number) FROM window").fetchone()
        stride = 1
        while row is not None and row[0] is not None and row[0] // stride >= most:
            stride *= 2
        found = connection.execute(query, (f'$."{metric}"', stride)).fetchall()
        return [(at_ns, float(value)) for at_ns, value in found if value is not None]


def oldest_closed_ns(path: Path, *, after: int) -> int | None:
    """Return when the first window beyond a number was closed, since the epoch; None if there is none."""
    query = "SELECT min(closed_ns) FROM window WHERE number > ? AND part IS NOT NULL"
    with _looking(path) as connection:
        row = connection.execute(query, (after,)).fetchone()
        return None if row is None or row[0] is None else int(row[0])


@contextmanager
def _looking(path: Path) -> Iterator[sqlite3.Connection]:
    """Look into a lane's file for the length of a block.

    Raises
    ------
    UnreadableError
        If it is there and cannot be read: what it holds must not pass for nothing.
    """
    try:
        with _address(path) as address, closing(_connect(address) or _nothing()) as connection:
            yield connection
    except sqlite3.Error as error:
        raise UnreadableError(path, error) from error


def _address(path: Path) -> AbstractContextManager[str | None]:
    return readable(path) if path.exists() else nullcontext()


def _connect(address: str | None) -> sqlite3.Connection | None:
    """Open a lane's file; None if there is none, or if it is so young that it lacks its tables."""
    if address is None:
        return None
    connection = sqlite3.connect(address, uri=True, timeout=10.0, isolation_level=None)
    try:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        is_whole = {name for (name,) in names} >= _NAMES
    except sqlite3.Error:
        connection.close()
        raise
    if is_whole:
        return connection
    connection.close()
    return None


def _nothing() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(TABLES)
    return connection


def _if(wanted: bool, connection: sqlite3.Connection, query: str) -> Iterable[tuple]:  # type: ignore[type-arg]
    return connection.execute(query) if wanted else ()
