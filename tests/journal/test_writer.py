"""The journal: in sealed segments, one writer each, safe against the death of any process."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from rig.journal import append, killed, positions, request
from shadowserve.errors import JournalError
from shadowserve.journal import local_disk, recovery, segment_file
from shadowserve.journal import reader as journal_reader
from shadowserve.journal.reader import JournalReader
from shadowserve.journal.segment_file import segments
from shadowserve.journal.writer import Writer
from shadowserve.records import position

STEPS = (("scale", ("age",)), ("model", ()))


def everything(directory):
    reader, found = JournalReader(directory, cursor={}), []
    while batch := reader.read(1000).requests:
        found += batch
    reader.close()
    return found


def test_what_is_appended_is_read_back_as_it_was(tmp_path):
    writer = Writer(tmp_path, worker=0, steps=STEPS)
    written = append(writer, 3) + append(writer, body=None) + append(writer, status=500)
    writer.close()
    assert everything(tmp_path) == written


def test_positions_run_on_across_segments_and_restarts(tmp_path):
    for _ in range(3):
        writer = Writer(tmp_path, worker=2, segment_bytes=500)
        for _ in range(5):
            append(writer, 2)
            writer._spare.exception()  # the next segment is open: the roll is free to happen
        writer.close()
    assert positions(everything(tmp_path)) == [position(2, n) for n in range(1, 31)]
    assert len(segments(tmp_path)) > 6


def test_a_segment_is_sealed_by_size(tmp_path):
    writer = Writer(tmp_path, worker=0, segment_bytes=1000)
    append(writer, body=b"x" * 1000)
    writer._spare.exception()
    append(writer)
    first, *_ = segments(tmp_path)
    assert facts(first)["last"] == 1
    writer.close()


def test_a_segment_is_sealed_by_age(tmp_path):
    writer = Writer(tmp_path, worker=0, segment_ns=1)
    append(writer)
    writer._spare.exception()
    append(writer)
    first, *_ = segments(tmp_path)
    assert facts(first)["last"] == 1
    writer.close()


def test_an_empty_segment_is_not_sealed_by_age(tmp_path):
    writer = Writer(tmp_path, worker=0, segment_ns=1)
    writer._spare.exception()
    append(writer)
    assert "last" not in facts(segments(tmp_path)[0])
    writer.close()


def facts(segment):
    connection = sqlite3.connect(segment.path)
    found = dict(connection.execute("SELECT key, value FROM meta"))
    connection.close()
    return found


def test_closing_leaves_one_sealed_segment_and_no_log(tmp_path):
    writer = Writer(tmp_path, worker=0)
    append(writer, 4)
    writer.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0-1.db", "0.number"]
    assert facts(segments(tmp_path)[0])["last"] == 4


def test_only_the_owner_may_read(tmp_path):
    directory = tmp_path / "state" / "journal"
    writer = Writer(directory, worker=0)
    append(writer)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert set(modes.values()) == {0o600}
    assert len(modes) > 2  # the file, its log and its index
    writer.close()


def test_a_foreign_lock_fails_the_append_and_frees_the_positions(tmp_path):
    writer = Writer(tmp_path, worker=0)
    append(writer)
    foreign = sqlite3.connect(segments(tmp_path)[0].path, isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError, match="locked"):
        append(writer)
    assert writer.sequence == 1
    foreign.execute("ROLLBACK")
    foreign.close()
    append(writer)
    writer.close()
    assert positions(everything(tmp_path)) == [1, 2]


def test_an_append_waits_five_milliseconds_at_most(tmp_path):
    writer = Writer(tmp_path, worker=0)
    (waits_ms,) = writer._live.execute("PRAGMA busy_timeout").fetchone()
    assert waits_ms == segment_file.APPEND_WAIT_MS == 5
    writer.close()


def test_a_roll_that_cannot_be_made_costs_nothing_and_is_made_later(tmp_path):
    """A reader that waits for the successor must not be led into one that is given up."""
    writer = Writer(tmp_path, worker=0, segment_bytes=1, segment_ns=10**18)
    append(writer)
    writer._spare.exception()
    successor = sqlite3.connect(segments(tmp_path)[1].path, isolation_level=None)
    successor.execute("BEGIN IMMEDIATE")
    append(writer)  # the roll fails, the append does not
    assert "last" not in facts(segments(tmp_path)[0])
    successor.execute("ROLLBACK")
    successor.close()
    writer._roll_ns = 0  # as if the second had passed
    append(writer)
    assert facts(segments(tmp_path)[0])["last"] == 2
    writer.close()
    assert positions(everything(tmp_path)) == [1, 2, 3]


FULL = """
import resource, signal, sys
from pathlib import Path
from rig.journal import append
from shadowserve.journal.writer import Writer
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
writer = Writer(Path(sys.argv[1]), worker=0)
append(writer, 3)
writer._spare.exception()
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
failed = 0
for _ in range(20):
    try:
        append(writer, body=b"x" * 50_000)
    except OSError:
        failed += 1
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
append(writer)
print(writer.sequence, failed)
writer.close()
"""


def test_a_full_disk_fails_appends_and_nothing_else(tmp_path):
    """Every append is there whole or not at all, and the positions have no gap."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    sequence, failed = map(int, done.stdout.split())
    assert failed > 10
    assert sequence + failed == 24
    assert positions(everything(tmp_path)) == list(range(1, sequence + 1))


NO_ROOM = """
import os, resource, signal, sys
from pathlib import Path
from rig.journal import append
from shadowserve.errors import JournalError
from shadowserve.journal.writer import Writer
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
opened = refused = 0
for most in (0, 100, 1_000, 2_047, 2_048, 4_096, 8_192, 10_240, 12_000, 14_336, 16_000, 20_000, 32_000, 80_000):
    directory = Path(sys.argv[1]) / str(most)
    directory.mkdir()
    for _ in range(2):
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
        try:
            writer = Writer(directory, worker=0)
        except JournalError:
            refused += 1
            left = len(list(directory.iterdir()))
        else:
            opened += 1
            left = 0
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        if left:
            print("left behind", most, left)
        elif opened and directory.exists() and "writer" in dir():
            writer.close()
            del writer
print(opened, refused)
"""


def test_a_disk_without_room_is_told_as_such_however_little_is_left_and_nothing_piles_up(tmp_path):
    """Also with room for the tables and not for a row."""
    done = subprocess.run(
        [sys.executable, "-c", NO_ROOM, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert done.returncode == 0, done.stderr
    opened, refused = map(int, done.stdout.split())
    assert opened > 1
    assert refused > 1


ENDLESS = """
import sys
from pathlib import Path
from pathlib import Path
from rig.journal import append
from shadowserve.journal.writer import Writer
writer = Writer(Path(sys.argv[1]), worker=0, segment_bytes=280_000)
n = 0
while True:
    n += len(append(writer, 1 + n % 5))
    print(n, flush=True)
"""


@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.11])
def test_a_killed_writer_loses_nothing_that_it_appended(tmp_path, after_s):
    told = int(killed(ENDLESS, str(tmp_path), after_s=after_s)[-1])
    last = recovery.recover(tmp_path, worker=0)
    assert told <= last <= told + 5  # the step under way may have been written
    assert positions(everything(tmp_path)) == list(range(1, last + 1))
    writer = Writer(tmp_path, worker=0)
    assert append(writer)[0].position == last + 1
    writer.close()


def test_no_number_is_given_twice_where_a_writer_dies_over_an_empty_segment(tmp_path):
    """What came before was consumed and deleted; a full disk kept the successor empty."""
    writer = Writer(tmp_path, worker=0, segment_bytes=1)
    append(writer, 5)
    writer._spare.result()
    with pytest.raises(JournalError):  # the segment rolls, and its first append fails
        writer.append([None])
    writer._keeper.submit(lambda: None).result()
    segment_file.remove(segments(tmp_path)[0])
    assert everything(tmp_path) == []
    assert recovery.recover(tmp_path, worker=0) == 5  # as if the process had died here
    again = Writer(tmp_path, worker=0)
    assert append(again)[0].position == 6
    again.close()


def test_no_number_is_given_twice_where_the_whole_journal_was_lost(tmp_path):
    writer = Writer(tmp_path, worker=0, after=41)
    assert append(writer)[0].position == 42
    writer.close()


def test_recovery_does_nothing_the_second_time(tmp_path):
    killed(ENDLESS, str(tmp_path), after_s=0.02)
    last = recovery.recover(tmp_path, worker=0)
    before = [facts(segment) for segment in segments(tmp_path)]
    assert recovery.recover(tmp_path, worker=0) == last
    assert [facts(segment) for segment in segments(tmp_path)] == before


def test_recovery_removes_a_file_that_was_born_in_the_moment_of_death(tmp_path):
    (tmp_path / "0-1.db").touch()
    assert recovery.recover(tmp_path, worker=0) == 0
    assert segments(tmp_path) == []


def test_recovery_never_deletes_a_segment_that_is_locked(tmp_path):
    writer = Writer(tmp_path, worker=0)
    append(writer, 5)
    foreign = sqlite3.connect(segments(tmp_path)[0].path, isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError, match="cannot be sealed"):
        recovery.recover(tmp_path, worker=0)
    foreign.execute("ROLLBACK")
    foreign.close()
    assert len(everything(tmp_path)) == 5
    writer.close()


def test_each_worker_has_its_own_segments(tmp_path):
    writers = [Writer(tmp_path, worker=n) for n in (0, 1)]
    for writer in writers:
        append(writer, 2)
        writer.close()
    assert [(s.worker, s.number) for s in segments(tmp_path)] == [(0, 1), (1, 1)]
    assert [s.worker for s in segments(tmp_path, worker=1)] == [1]


def test_other_files_are_no_segments(tmp_path):
    for name in ("notes.db", "a-1.db", "0-x.db", "0-1.db-wal"):
        (tmp_path / name).touch()
    assert segments(tmp_path) == []


def test_a_removed_segment_leaves_nothing(tmp_path):
    writer = Writer(tmp_path, worker=0)
    append(writer)
    writer._spare.exception()
    first, spare = segments(tmp_path)
    assert first.bytes > 0
    segment_file.remove(first)
    assert all(path.name.startswith(spare.path.name) for path in tmp_path.glob("*.db*"))
    assert first.bytes == 0
    writer._live.close()
    writer._keeper.shutdown()
    writer._spare.result().close()


MOUNTS = "/dev/sda1 / ext4 rw 0 0\nhost:/x {place} nfs4 rw 0 0\n"


def test_a_network_file_system_is_refused_by_name(tmp_path):
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS.format(place=tmp_path))
    with pytest.raises(JournalError, match=r"network file system \(nfs4\).*local disk"):
        local_disk.refuse_network(tmp_path / "below", mounts=mounts)


def test_a_mount_point_with_a_space_is_known(tmp_path):
    place = tmp_path / "my share"
    place.mkdir()
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS.format(place=str(place).replace(" ", "\\040")))
    with pytest.raises(JournalError):
        local_disk.refuse_network(place, mounts=mounts)


def test_a_local_disk_and_an_unknown_system_are_taken(tmp_path):
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS.format(place=tmp_path / "elsewhere"))
    local_disk.refuse_network(tmp_path, mounts=mounts)
    local_disk.refuse_network(tmp_path, mounts=tmp_path / "missing")


def test_a_directory_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "0-1.db").mkdir()
    with pytest.raises(JournalError, match="journal"):
        Writer(tmp_path, worker=0)


def test_a_request_is_found_by_position_while_its_segment_is_there(tmp_path):
    writer = Writer(tmp_path, worker=1)
    written = append(writer, 3)
    assert journal_reader.find(tmp_path, written[1].position) == written[1]
    assert journal_reader.find(tmp_path, position(1, 9)) is None
    assert request(1).position == 1
    writer.close()


def test_no_name_of_a_segment_comes_back_though_all_are_gone(tmp_path):
    """A reader that closes a deleted segment would take the log of another one of its name along."""
    before = set()
    for _ in range(3):
        writer = Writer(tmp_path, worker=0)
        append(writer)
        names = {one.path.name for one in segments(tmp_path)}
        assert not names & before
        before |= names
        writer.close()
        for one in segments(tmp_path):
            segment_file.remove(one)
