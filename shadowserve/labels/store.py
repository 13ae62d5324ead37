"""The labels' own file: what turned out to be true, beside what both versions had answered.

One SQLite file with one writer (`owner`). Labels are only ever appended; a set of labels is taken whole or
not at all. The answers are copies of what the lanes have recorded, by request id, so that a label finds its
request however late it comes, and in whichever part it lies.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from shadowserve.errors import UnreachableError
from shadowserve.labels.pairs import Marks, Pair, pairs_of
from shadowserve.labels.reading import LabelsError

KEPT_ANSWERS = 1_000_000
"""Answers of one lane that stay findable; the oldest make room."""

BUSY_S = 30.0
COPIED_TABLES = """
CREATE TABLE IF NOT EXISTS label (
    id INTEGER PRIMARY KEY, request_id TEXT UNIQUE NOT NULL, label TEXT NOT NULL,
    received_ns INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS answer (
    id INTEGER PRIMARY KEY, lane TEXT NOT NULL, position INTEGER NOT NULL, request_id TEXT NOT NULL,
    arrived_ns INTEGER NOT NULL, champion TEXT, lane_answer TEXT, scores TEXT,
    first INTEGER NOT NULL,
    UNIQUE (lane, position)
);
CREATE INDEX IF NOT EXISTS answer_request ON answer (request_id, lane);
CREATE TABLE IF NOT EXISTS part (lane TEXT, name TEXT, PRIMARY KEY (lane, name));
"""
"""What a working copy in memory has too."""

_TABLES = f"""{COPIED_TABLES}
CREATE TABLE IF NOT EXISTS summary (lane TEXT PRIMARY KEY, state TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS count (name TEXT PRIMARY KEY, n INTEGER NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Answered:
    """What one lane recorded of one request.

    Parameters
    ----------
    champion, lane : str or None
        JSON list of answers, one a row; None where one of the two did not answer.
    scores : str or None
        JSON object of the lane's probabilities by class.
    first : bool
        Whether it is the first request of its entity.
    """

    position: int
    request_id: str
    arrived_ns: int
    champion: str | None
    lane: str | None
    scores: str | None
    first: bool = True


class LabelStore:
    """Labels and answers in one file.

    Parameters
    ----------
    path : Path
        Created with mode 0600 if missing.

    Raises
    ------
    UnreachableError
        It cannot be opened, or is no such file.
    """

    def __init__(self, path: Path) -> None:
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
            # WAL: reports read on while the owner writes.
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.executescript(_TABLES)
        except (OSError, sqlite3.Error) as error:
            raise UnreachableError(
                f"The labels' file {path} cannot be used ({error}). Free space, or check its rights."
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the file alone; what is written in the block is kept whole or, on any error, not.

        Raises
        ------
        LabelsError
            If another process holds the file for too long, or the disk is full.
        """
        try:
            # A transaction that began by reading could be refused at its first write.
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.rollback()
                raise
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise LabelsError(
                f"Nothing was written to the labels' file: {error}. Try again."
            ) from error

    def label_of(self, request_id: str) -> str | None:
        """Return a label as JSON; None if there is none."""
        query = "SELECT label FROM label WHERE request_id = ?"
        row = self._connection.execute(query, (request_id,)).fetchone()
        return None if row is None else str(row[0])

    def append(self, request_id: str, label: str) -> None:
        """Append a label, as JSON, for an id that has none yet."""
        self._connection.execute(
            "INSERT INTO label (request_id, label, received_ns) VALUES (?, ?, ?)",
            (request_id, label, time.time_ns()),
        )

    def waiting(self) -> Iterator[tuple[str, str]]:
        """Yield id and label, as JSON, of the labels whose request nobody has compared."""
        yield from self._connection.execute(
            "SELECT request_id, label FROM label WHERE NOT EXISTS "
            "(SELECT 1 FROM answer WHERE answer.request_id = label.request_id)"
        )

    def withdraw(self, request_id: str) -> None:
        """Take a label out that has been paired with nothing."""
        self._connection.execute("DELETE FROM label WHERE request_id = ?", (request_id,))

    def requests_with(self, request_id: str) -> int:
        """Return how many requests bear an id, whichever lane saw them."""
        # Each lane that saw a request has a row of it; the position is the request's identity.
        query = "SELECT count(DISTINCT position) FROM answer WHERE request_id = ?"
        return int(self._connection.execute(query, (request_id,)).fetchone()[0])

    def count(self, name: str, n: int) -> None:
        """Add to one of the counts that last."""
        self._connection.execute(
            "INSERT INTO count VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET n = n + excluded.n",
            (name, n),
        )

    def counts(self) -> dict[str, int]:
        """Return the counts, and ``labels``: how many ids have one."""
        (labels,) = self._connection.execute("SELECT count(*) FROM label").fetchone()
        return {**dict(self._connection.execute("SELECT name, n FROM count")), "labels": labels}

    def known_parts(self, lane: str) -> set[str]:
        """Return the parts whose answers are here."""
        rows = self._connection.execute("SELECT name FROM part WHERE lane = ?", (lane,))
        return {name for (name,) in rows}

    def part_taken(self, lane: str, name: str) -> None:
        """Note that a part's answers are here."""
        self._connection.execute("INSERT OR IGNORE INTO part VALUES (?, ?)", (lane, name))

    def take(self, lane: str, answers: Iterable[Answered]) -> None:
        """Copy answers; those that are here already stay as they are."""
        self._connection.executemany(
            "INSERT OR IGNORE INTO answer "
            "(lane, position, request_id, arrived_ns, champion, lane_answer, scores, first) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    lane,
                    a.position,
                    a.request_id,
                    a.arrived_ns,
                    a.champion,
                    a.lane,
                    a.scores,
                    a.first,
                )
                for a in answers
            ),
        )

    def forget_oldest(self, lane: str, *, keep: int = KEPT_ANSWERS) -> None:
        """Keep a lane's newest answers only."""
        self._connection.execute(
            "DELETE FROM answer WHERE lane = :lane AND id <= "
            "(SELECT id FROM answer WHERE lane = :lane ORDER BY id DESC LIMIT 1 OFFSET :keep)",
            {"lane": lane, "keep": keep},
        )

    def answers(self, *, lane: str, after: int, most: int) -> Iterator[tuple[int, str, str]]:
        """Yield id, champion's and lane's answer of the first requests of entities since an id."""
        yield from self._connection.execute(
            "SELECT id, champion, lane_answer FROM answer WHERE lane = ? AND id > ? AND first "
            "AND champion IS NOT NULL ORDER BY id LIMIT ?",
            (lane, after, most),
        )

    def examples(self, n: int = 20) -> list[tuple[str | None, str | None]]:
        """Return some champion answers and scores, as JSON, to tell what labels must be."""
        query = "SELECT champion, scores FROM answer WHERE champion IS NOT NULL LIMIT ?"
        return self._connection.execute(query, (n,)).fetchall()

    def summary(self, lane: str) -> Mapping[str, Any] | None:
        """Return what was learnt of a lane's losses; None before the first label."""
        query = "SELECT state FROM summary WHERE lane = ?"
        row = self._connection.execute(query, (lane,)).fetchone()
        return None if row is None else dict(json.loads(row[0]))

    def save_summary(self, lane: str, state: Mapping[str, Any]) -> None:
        """Replace what was learnt of a lane's losses."""
        values = (lane, json.dumps(state))
        self._connection.execute("INSERT OR REPLACE INTO summary VALUES (?, ?)", values)

    def last(self) -> Marks:
        """Return the ids of the last label and answer."""
        query = "SELECT (SELECT max(id) FROM label), (SELECT max(id) FROM answer)"
        label, answer = self._connection.execute(query).fetchone()
        return Marks(label or 0, answer or 0)

    def pairs(self, *, lane: str, control: str | None, since: Marks, upto: Marks) -> Iterator[Pair]:
        """Yield what has come together since, as `pairs_of`."""
        return pairs_of(self._connection, lane=lane, control=control, since=since, upto=upto)
