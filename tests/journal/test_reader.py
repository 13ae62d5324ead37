"""Reading the journal: in order, from a cursor, while it is written and deleted."""

from __future__ import annotations

import sqlite3
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rig.journal import append, positions
from shadowserve.errors import UnreadableError
from shadowserve.journal import reader as journal_reader
from shadowserve.journal import segment_file, segment_reading
from shadowserve.journal import writer as journal_writer
from shadowserve.journal.reader import JournalReader, replayed
from shadowserve.journal.segment_file import segments
from shadowserve.journal.writer import Writer
from shadowserve.records import position, worker_of

STEPS = (("scale", ("age",)), ("model", ()))


def small(directory, *, worker=0, n=6):
    """A closed journal with one request in each of `n` segments."""
    writer = Writer(directory, worker=worker, segment_bytes=1)
    for _ in range(n):
        writer._spare.exception()
        append(writer)
    writer.close()
    return segments(directory, worker=worker)


def test_a_reader_goes_on_from_its_cursor(tmp_path):
    small(tmp_path)
    first = JournalReader(tmp_path, cursor={})
    assert positions(first.read(4).requests) == [1]  # a reading ends with a segment
    assert first.read(4).cursor == {0: 2}
    first.close()
    second = JournalReader(tmp_path, cursor={0: 2})
    assert positions(second.read(1).requests) == [3]
    second.close()


def test_every_worker_gets_its_share_of_a_reading(tmp_path):
    writers = [Writer(tmp_path, worker=n) for n in range(3)]
    for writer in writers:
        append(writer, 50)
    reader = JournalReader(tmp_path, cursor={})
    read = reader.read(30).requests
    assert {n: sum(worker_of(r.position) == n for r in read) for n in range(3)} == {
        0: 10,
        1: 10,
        2: 10,
    }
    reader.close()
    for writer in writers:
        writer.close()


def test_no_reading_goes_beyond_its_limit(tmp_path):
    small(tmp_path, n=4)
    small(tmp_path, worker=1, n=4)
    reader = JournalReader(tmp_path, cursor={})
    seen = []
    while batch := reader.read(10, upto={0: 3}).requests:
        seen += batch
    assert positions(seen) == [1, 2, 3]
    reader.close()


def test_a_reading_of_large_bodies_is_bounded_by_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(segment_reading, "READ_BYTES", 10_000)
    writer = Writer(tmp_path, worker=0)
    append(writer, 10, body=b"x" * 4_000)
    reader = JournalReader(tmp_path, cursor={})
    assert [len(reader.read(100).requests) for _ in range(5)] == [3, 3, 3, 1, 0]
    reader.close()
    writer.close()


def test_what_was_deleted_unread_is_counted(tmp_path):
    made = small(tmp_path)
    reader = JournalReader(tmp_path, cursor={})
    reader.read(1)
    for segment in made[1:4]:
        segment_file.remove(segment)
    batch = reader.read(10)
    assert (positions(batch.requests), batch.deleted, batch.cursor) == ([5], 3, {0: 5})
    reader.close()


def test_a_reader_reads_to_the_end_what_is_deleted_under_it(tmp_path):
    writer = Writer(tmp_path, worker=0)
    append(writer, 4)
    writer.close()
    small(tmp_path, n=1)
    reader = JournalReader(tmp_path, cursor={})
    reader.read(1)
    segment_file.remove(segments(tmp_path)[0])
    assert positions(reader.read(10).requests) == [2, 3, 4]
    assert reader.read(10).deleted == 0
    reader.close()


@pytest.mark.parametrize("content", ["nothing", "tables"])
def test_a_reader_that_comes_too_early_waits_and_then_reads(tmp_path, content):
    """A segment is created, gets its tables, then its facts: at no instant may a reader get stuck."""
    path = tmp_path / "0-1.db"
    path.touch()
    if content == "tables":
        born = sqlite3.connect(path)
        born.executescript(segment_file.TABLES)
        born.close()
    reader = JournalReader(tmp_path, cursor={})
    assert reader.read(10).requests == []
    assert reader.steps(0) == ()
    live = segment_file.create(path)
    segment_file.begin(live, first=1, steps='[["scale", ["age"]]]')
    live.execute(
        "INSERT INTO request VALUES (1, 'r', 1, 1, 'invocations', '', x'', 200, x'', 1, x'', NULL, NULL)"
    )
    live.commit()
    assert positions(reader.read(10).requests) == [1]
    assert reader.steps(0) == (("scale", ("age",)),)
    reader.close()
    live.close()


def test_a_segment_that_cannot_be_read_is_not_taken_for_a_deleted_one(tmp_path):
    """A disk that fails, or too many open files: what lies there is unknown, and is not gone."""
    writer = Writer(tmp_path, worker=0)
    append(writer)
    writer.close()
    (path,) = tmp_path.glob("*.db")
    whole = path.read_bytes()
    path.unlink()
    path.mkdir()  # what cannot be opened as a file
    reader = JournalReader(tmp_path, cursor={})
    assert reader.read(10).requests == []
    with pytest.raises(UnreadableError, match=path.name):
        journal_reader.backlog(tmp_path, cursor={}, bound={0: 1})
    with pytest.raises(UnreadableError):
        journal_reader.extent(tmp_path)
    path.rmdir()
    path.write_bytes(whole)
    assert journal_reader.backlog(tmp_path, cursor={}, bound={0: 1}).pending == 1
    assert positions(reader.read(1).requests) == [1]
    assert reader.read(1).deleted == 0
    reader.close()


def test_steps_are_those_of_the_segment_being_read(tmp_path):
    writer = Writer(tmp_path, worker=0, steps=STEPS)
    append(writer)
    reader = JournalReader(tmp_path, cursor={})
    reader.read(1)
    assert reader.steps(0) == STEPS
    assert reader.steps(7) == ()
    reader.close()
    writer.close()


def test_readers_read_while_the_writer_writes(tmp_path):
    """Two readers of a journal that rolls all the time see each request once, in order."""
    n, done = 400, threading.Event()

    def write():
        writer = Writer(tmp_path, worker=0, segment_bytes=5_000)
        for _ in range(n // 4):
            writer._spare.exception()
            append(writer, 4)
        writer.close()
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    readers = [JournalReader(tmp_path, cursor={}) for _ in range(2)]
    seen: list[list[int]] = [[], []]
    while not done.is_set() or any(len(one) < n for one in seen):
        for reader, one in zip(readers, seen, strict=True):
            one += positions(reader.read(7).requests)
    thread.join()
    for reader in readers:
        reader.close()
    assert seen == [list(range(1, n + 1))] * 2
    assert len(segments(tmp_path)) > 5


def test_extent_reaches_to_the_last_request_sealed_or_not(tmp_path):
    small(tmp_path, n=3)
    writer = Writer(tmp_path, worker=1)
    append(writer, 2)
    writer._spare.exception()
    reach = journal_reader.extent(tmp_path)
    assert reach.last == {0: 3, 1: 2}
    assert reach.bytes == sum(segment.bytes for segment in segments(tmp_path)) > 0
    writer.close()


def test_statuses_are_counted_between_two_sequence_numbers(tmp_path):
    writer = Writer(tmp_path, worker=1)
    append(writer, 3)
    append(writer, 2, status=500)
    assert journal_reader.statuses(tmp_path, worker=1, after=1, upto=4) == {200: 2, 500: 1}
    assert journal_reader.statuses(tmp_path, worker=1, after=4, upto=4) == {}
    writer.close()


@settings(max_examples=15)
@given(
    n=st.integers(2, 8),
    gone=st.sets(st.integers(0, 6)),
    cursor=st.integers(0, 8),
    bound=st.integers(0, 8),
)
def test_beyond_a_cursor_everything_is_pending_or_deleted(tmp_path_factory, n, gone, cursor, bound):
    directory = tmp_path_factory.mktemp("journal")
    made = small(directory, n=n)
    for index in gone:
        if index < n - 1:
            segment_file.remove(made[index])
    cursor, bound = min(cursor, n), min(bound, n)
    found = journal_reader.backlog(directory, cursor={0: cursor}, bound={0: bound})
    there = {i + 1 for i in range(n) if i not in gone or i == n - 1}
    wanted = set(range(cursor + 1, bound + 1))
    assert found.pending == len(wanted & there)
    assert found.pending + found.deleted == len(wanted)
    assert (found.oldest_wall_ns is None) == (found.pending == 0)


def test_the_oldest_pending_request_is_known(tmp_path):
    writer = Writer(tmp_path, worker=0)
    append(writer, arrived_wall_ns=11)
    append(writer, arrived_wall_ns=22)
    assert journal_reader.backlog(tmp_path, cursor={0: 1}, bound={0: 2}).oldest_wall_ns == 22
    writer.close()


def test_a_directory_with_odd_characters_is_read(tmp_path):
    directory = tmp_path / "50% off? #1 ü"
    writer = Writer(directory, worker=0)
    (made,) = append(writer)
    assert journal_reader.find(directory, made.position) == made
    assert journal_reader.extent(directory).last == {0: 1}
    assert position(0, 1) == made.position
    writer.close()


def test_a_reader_leaves_a_spare_segment_that_its_writer_took_along(tmp_path, monkeypatch):
    """It was deleted after the reader had gone on to it: a worker ended and another began."""
    writer = Writer(tmp_path, worker=0)
    writer._spare.exception()
    append(writer)
    reader = JournalReader(tmp_path, cursor={})
    assert positions(reader.read(9).requests) == [1]
    remove = segment_file.remove

    def read_first(segment):
        assert reader.read(9).requests == []
        assert reader._readers[0].segment == segment
        remove(segment)

    monkeypatch.setattr(journal_writer, "remove", read_first)
    writer.close()
    monkeypatch.undo()
    assert reader.read(9).requests == []
    successor = Writer(tmp_path, worker=0)
    append(successor, 2)
    assert positions(reader.read(9).requests) == [2, 3]
    reader.close()
    successor.close()


def test_no_name_of_a_segment_comes_back(tmp_path):
    names: set[str] = set()
    for _ in range(3):
        writer = Writer(tmp_path, worker=0)
        writer._spare.exception()
        found = {segment.path.name for segment in segments(tmp_path)}
        assert len(found - names) >= 2
        names |= found
        append(writer)
        writer.close()


def test_a_segment_of_a_release_that_knew_no_replays_is_read(tmp_path, monkeypatch):
    tables = segment_file.TABLES.replace(", replay TEXT", "")
    assert tables != segment_file.TABLES
    monkeypatch.setattr(segment_file, "TABLES", tables)
    old = segment_file.create(tmp_path / "0-0.db")
    segment_file.begin(old, first=1, steps="[]")
    old.execute(
        "INSERT INTO request VALUES (1, 'r', 1, 1, 'invocations', '', x'', 200, x'', 1, x'', NULL)"
    )
    segment_file.seal(old, 1)
    old.close()
    monkeypatch.undo()
    writer = Writer(tmp_path, worker=0, after=1)
    append(writer, 2, replay="r1")
    writer.close()
    reader = JournalReader(tmp_path, cursor={})
    found = reader.read(10).requests + reader.read(10).requests
    assert [(one.position, one.replay) for one in found] == [(1, None), (2, "r1"), (3, "r1")]
    reader.close()
    assert replayed(tmp_path, worker=0, after=0, upto=2) == 1
    assert replayed(tmp_path, worker=0, after=0, upto=9) == 2
