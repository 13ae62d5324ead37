"""The archive's index: what each file holds, so that nobody opens thousands to find a moment or a request."""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np

from shadowserve.errors import StateError
from shadowserve.state.archive.facts import FORMAT, KEY, Facts

_TABLE = """
CREATE TABLE IF NOT EXISTS segment (
    name TEXT PRIMARY KEY, deployment TEXT, worker INTEGER, since_ns INTEGER, until_ns INTEGER,
    bytes INTEGER, facts TEXT, ids BLOB
) WITHOUT ROWID;
"""


class Index:
    """One file, written by the archiving process alone; whoever cannot read it does without.

    Of each request id it holds four bytes of a checksum, sorted: enough to open only files that hold it, and
    perhaps one in a hundred thousand besides.

    Parameters
    ----------
    path : Path
        Made with mode 0600 at the first segment.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, name: str, facts: Facts, ids: Sequence[str], *, n_bytes: int) -> None:
        """Note a file, or note it anew."""
        hashes = np.unique(np.fromiter(map(_hash, ids), dtype="<u4", count=len(ids)))
        row = (
            name, facts.deployment, facts.worker, facts.since_ns, facts.until_ns, n_bytes,
            json.dumps({"format": FORMAT, **asdict(facts)}), hashes.tobytes(),
        )  # fmt: skip
        with closing(self._write()) as connection, connection:
            connection.execute(
                "INSERT OR REPLACE INTO segment VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row
            )

    def remove(self, name: str) -> None:
        """Forget a file."""
        with closing(self._write()) as connection, connection:
            connection.execute("DELETE FROM segment WHERE name = ?", (name,))

    def facts(self) -> dict[str, Facts]:
        """Return what is known, by file; nothing where the index is missing or damaged."""
        found: dict[str, Facts] = {}
        for name, told in self._asked("SELECT name, facts FROM segment"):
            with suppress(StateError):
                found[name] = Facts.of({KEY: str(told).encode()}, Path(str(name)))
        return found

    def holding(self, request_id: str) -> set[str]:
        """Return the files that may hold a request of this id."""
        wanted = _hash(request_id)
        found = set()
        for name, ids in self._asked("SELECT name, ids FROM segment"):
            hashes = np.frombuffer(ids, dtype="<u4")
            place = int(np.searchsorted(hashes, np.uint32(wanted)))
            if place < hashes.size and int(hashes[place]) == wanted:
                found.add(str(name))
        return found

    def _asked(self, query: str) -> list[tuple[str, bytes]]:
        if not self._path.exists():
            return []
        address = f"{self._path.resolve().as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(address, uri=True, timeout=10.0)) as connection:
                return connection.execute(query).fetchall()
        except sqlite3.Error:
            return []  # the files say the same, more slowly

    def _write(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            return self._opened()
        except sqlite3.DatabaseError as error:
            if type(error) is not sqlite3.DatabaseError:  # locked, or a full disk
                raise
            self._path.unlink()  # damaged: what it said stands in the files
            return self._opened()

    def _opened(self) -> sqlite3.Connection:
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(self._path, timeout=10.0)
        try:
            connection.execute("PRAGMA synchronous=OFF")
            connection.executescript(_TABLE)
        except sqlite3.Error:
            connection.close()
            raise
        return connection


def _hash(text: str) -> int:
    return zlib.crc32(text.encode("utf-8", "surrogatepass"))
