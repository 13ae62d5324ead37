"""Who only reads a database changes no byte of it, whatever its writer left."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import pytest

from rig.unwritable import digests, unwritable
from shadowserve.journal.database import readable


def written(folder, *, killed):
    """A database in WAL mode, closed in order or left by a killed writer with its last row in the log."""
    folder.mkdir()
    path = folder / "state.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE t (n)")
    connection.execute("INSERT INTO t VALUES (1)")
    connection.commit()
    if killed:
        left = folder.with_name("left")
        shutil.copytree(folder, left)
        connection.close()
        return left / path.name
    connection.close()
    return path


def rows(path):
    with readable(path) as address, closing(sqlite3.connect(address, uri=True)) as connection:
        return connection.execute("SELECT n FROM t").fetchall()


@pytest.mark.parametrize("killed", [False, True])
def test_reading_leaves_every_byte_and_no_file_more(tmp_path, killed):
    path = written(tmp_path / "db", killed=killed)
    before = digests(path.parent)
    assert rows(path) == [(1,)]
    after = digests(path.parent)
    assert after.keys() == before.keys()
    assert {n: d for n, d in after.items() if not n.endswith("-shm")} == {
        n: d for n, d in before.items() if not n.endswith("-shm")
    }


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("index", [False, True])
def test_a_directory_that_may_not_be_written_can_be_read(tmp_path, killed, index):
    path = written(tmp_path / "db", killed=killed)
    if not index:
        path.with_name("state.db-shm").unlink(missing_ok=True)
    before = digests(path.parent)
    with unwritable(path.parent) as folder:
        assert rows(folder / path.name) == [(1,)]
        assert digests(folder) == before


def test_what_a_writer_adds_meanwhile_is_seen_by_the_next_reader(tmp_path):
    path = written(tmp_path / "db", killed=False)
    with closing(sqlite3.connect(path)) as writer:
        for n in (2, 3):
            writer.execute("INSERT INTO t VALUES (?)", (n,))
            writer.commit()
            assert rows(path)[-1] == (n,)
