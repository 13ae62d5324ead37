"""A working copy in memory of what of labels and answers is not paired yet, for those who only read.

A report counts labels that came a moment ago, also where no process runs that could pair them. It does so
here, with the queries that the file's writer uses, and forgets the outcome.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shadowserve.errors import UnreadableError
from shadowserve.journal.database import readable
from shadowserve.labels.answers import copy_answers
from shadowserve.labels.far import MOST_AT_ONCE
from shadowserve.labels.pairs import Marks
from shadowserve.labels.store import COPIED_TABLES, LabelStore
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places

_FRESH = (
    "INSERT INTO part SELECT lane, name FROM kept.part",
    "INSERT INTO answer SELECT * FROM kept.answer ORDER BY id DESC LIMIT 1",
)
"""With the last answer that is kept, since fresh ones get ids beyond the last one here."""

_TWICE = (
    "DELETE FROM answer WHERE EXISTS (SELECT 1 FROM kept.answer k "
    "WHERE k.lane = answer.lane AND k.position = answer.position AND k.id != answer.id)"
)
"""Answers of the open window that the file holds already."""

_WANTED = (
    "INSERT OR IGNORE INTO wanted SELECT request_id FROM kept.label WHERE id > :label",
    "INSERT OR IGNORE INTO wanted SELECT a.request_id FROM kept.answer a "
    "JOIN kept.label l ON l.request_id = a.request_id WHERE a.lane = :lane AND a.id > :answer",
    "INSERT OR IGNORE INTO wanted SELECT a.request_id FROM main.answer a "
    "JOIN kept.label l ON l.request_id = a.request_id",
)
"""Ids of requests whose label or answer is new: all that bears one of them is needed, to count alike ones."""

_COPIED = (
    "INSERT OR IGNORE INTO label SELECT * FROM kept.label "
    "WHERE request_id IN (SELECT request_id FROM wanted)",
    "INSERT OR IGNORE INTO answer SELECT * FROM kept.answer "
    "WHERE lane IN (:lane, :control) AND request_id IN (SELECT request_id FROM wanted)",
    "INSERT OR IGNORE INTO answer SELECT * FROM kept.answer "
    "WHERE lane = :lane AND id > :far AND first AND champion IS NOT NULL ORDER BY id LIMIT :most",
)


class WorkingCopy(LabelStore):
    """Labels and answers that are not paired yet, beside the labels' file, which is only read.

    Parameters
    ----------
    address : str
        Under which SQLite may read the file.
    """

    def __init__(self, address: str) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None, uri=True)
        self._connection.execute("ATTACH ? AS kept", (address,))
        self._connection.executescript(COPIED_TABLES)
        self._connection.execute("CREATE TABLE wanted (request_id TEXT PRIMARY KEY)")
        self._connection.execute("BEGIN")  # all is read as it stands at one moment

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write to memory, where nobody else does."""
        yield

    def arrived(self) -> tuple[float, ...]:
        """Return when the first and the newest label came, in seconds since the epoch; empty without any."""
        query = "SELECT received_ns FROM kept.label WHERE id IN (SELECT min(id) FROM kept.label UNION SELECT max(id) FROM kept.label) ORDER BY id"
        return tuple(at / 1e9 for (at,) in self._connection.execute(query))

    @property
    def is_whole(self) -> bool:
        """Whether the file has its tables; one that is being made may lack them."""
        query = "SELECT 1 FROM kept.sqlite_master WHERE name = 'count'"
        return self._connection.execute(query).fetchone() is not None

    def counts(self) -> dict[str, int]:
        """Return the file's counts, of all its labels."""
        # The copy holds only the labels that it needs; how many there are, the file alone knows.
        (labels,) = self._connection.execute("SELECT count(*) FROM kept.label").fetchone()
        return {**super().counts(), "labels": labels}

    def fill(
        self,
        places: Places,
        deployment: Deployment,
        *,
        lane: str,
        control: str | None,
        since: Marks,
        far: int,
    ) -> None:
        """Bring here what came since a lane was last paired.

        Parameters
        ----------
        far : int
            Id of the last answer that was looked at for numbers far off.
        """
        for statement in _FRESH:
            self._connection.execute(statement)
        copy_answers(self, places, deployment)
        self._connection.execute(_TWICE)
        names = {
            "lane": lane, "control": control, "label": since.label, "answer": since.answer, "far": far,
            "most": MOST_AT_ONCE,
        }  # fmt: skip
        for statement in (*_WANTED, *_COPIED):
            self._connection.execute(statement, names)


@contextmanager
def working_copy(path: Path) -> Iterator[WorkingCopy | None]:
    """Look into the labels' file for the length of a block; None where no label ever came.

    Raises
    ------
    UnreadableError
        If it is there and cannot be read: no label must not be told of labels that came.
    """
    if not path.exists():
        yield None
        return
    try:
        with readable(path) as address, WorkingCopy(address) as copy:
            yield copy if copy.is_whole else None
    except sqlite3.Error as error:
        raise UnreadableError(path, error) from error
