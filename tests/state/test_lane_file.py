"""A lane's file: cursor, ledger and summaries change together or not at all."""

from __future__ import annotations

import sqlite3
import stat

import pytest

from rig.journal import killed
from shadowserve.errors import UnreadableError
from shadowserve.records import Outcome, position
from shadowserve.state.death import Death
from shadowserve.state.lane_file import LaneState, Progress, Window
from shadowserve.state.lane_reading import closed_windows, open_comparisons, snapshot, summary


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state 50%.db"


@pytest.fixture
def state(path):
    found = LaneState(path)
    yield found
    found.close()


def progress(upto, n=1, **changes):
    made = Progress(cursor={0: upto}, **changes)
    made.count(Outcome.BOTH_OK, n)
    return made


def test_commits_add_up(state, path):
    state.commit(progress(3, n=3, summaries={"outputs": b"{}"}))
    second = progress(5, summaries={"outputs": b"[]"})
    second.count(Outcome.CRASHED)
    state.commit(second)
    seen = snapshot(path)
    assert seen.outcomes == {"both_ok": 4, "crashed": 1}
    assert seen.cursor == state.cursor() == {0: 5}
    assert seen.summaries == state.summaries() == {"outputs": b"[]"}


def test_a_commit_that_fails_changes_nothing(state, path):
    state.commit(progress(3, n=3))
    bad = progress(9, n=6)
    bad.summaries = {"outputs": object()}  # type: ignore[dict-item]
    with pytest.raises(sqlite3.Error):
        state.commit(bad)
    assert snapshot(path).outcomes == {"both_ok": 3}
    assert snapshot(path).cursor == {0: 3}


def test_a_lane_that_never_started_has_an_empty_snapshot(tmp_path):
    for path in (tmp_path / "missing.db", tmp_path / "young.db"):
        if path.name.startswith("young"):
            path.touch()
        assert snapshot(path).outcomes == {}
        assert snapshot(path).cursor == {}
        assert closed_windows(path, after=-1) == []
    assert not (tmp_path / "missing.db").exists()


@pytest.mark.parametrize(
    "read",
    [
        snapshot,
        lambda path: summary(path, "outputs"),
        lambda path: list(open_comparisons(path)),
        lambda path: closed_windows(path, after=0),
    ],
)
def test_a_file_that_cannot_be_read_does_not_pass_for_an_empty_one(path, read):
    path.write_bytes(b"no database" * 100)
    with pytest.raises(UnreadableError, match="cannot be read now"):
        read(path)


def test_a_snapshot_may_leave_out_what_is_heavy(state, path):
    state.commit(progress(1, summaries={"a": b"x"}, bursts=[(1, 0, 0, b"{}")]))
    assert snapshot(path, whole=False).summaries == {}
    assert snapshot(path, whole=False).bursts == []
    assert snapshot(path).bursts == [(1, 0, 0, b"{}")]


def death(of="a", cause="crash", positions=(4, 5)):
    return Death(id=of, positions=positions, cause=cause, step=2, worked_ms=9.5)


def test_deaths_are_counted_by_position_and_each_once(state):
    state.record_death(death())
    state.record_death(death())  # the lane died before it could remove the file
    state.record_death(death("b", "deadline", (5,)))
    assert state.deaths() == {4: (1, "crash"), 5: (2, "deadline")}
    assert state.death_detail(5) == {"step": 2, "worked_ms": 9.5}
    assert state.death_detail(6) == {}


def test_a_death_from_outside_counts_nothing(state):
    state.record_death(death(cause="outside"))
    assert state.deaths() == {}


def test_deaths_are_forgotten_once_they_are_passed(state):
    other = position(1, 4)
    state.record_death(death(positions=(4, 5, other)))
    state.commit(progress(4))
    assert set(state.deaths()) == {5, other}


def test_the_oldest_burst_rows_make_room(path):
    state = LaneState(path, burst_rows=5)
    for n in range(1, 12):
        state.commit(progress(n, bursts=[(n, 0, n, b"{}")]))
    assert [place for place, *_ in snapshot(path).bursts] == [7, 8, 9, 10, 11]


def test_the_bursts_of_every_worker_live(path):
    """Ordered by position, all of the last worker's would outlive the others'."""
    state = LaneState(path, burst_rows=4)
    for n in range(1, 8):
        for worker in (0, 1):
            row = (position(worker, n), 0, n, b"{}")
            state.commit(Progress(cursor={worker: n}, bursts=[row]))
    kept = [(0, 6), (0, 7), (1, 6), (1, 7)]
    assert [place for place, *_ in snapshot(path).bursts] == [position(*one) for one in kept]
    state.close()


def test_a_window_is_closed_for_good_and_its_rows_go_into_a_part(state, path):
    state.commit(progress(3, comparisons=[(1, 0, b"one"), (3, 0, b"three"), (2, 1, b"two")]))
    assert state.next_window() == 0
    state.close_window(Window(0, 10, 20, 2, b"{}", None))
    state.close_window(Window(0, 99, 99, 9, b"other", None))
    assert state.next_window() == 1
    assert state.windows_without_part() == [0]
    assert closed_windows(path, after=-1) == []
    assert state.comparisons(0) == [b"one", b"three"]
    state.part_written(0, "part.parquet")
    assert state.comparisons(0) == []
    assert state.comparisons(1) == [b"two"]
    assert closed_windows(path, after=-1) == [Window(0, 10, 20, 2, b"{}", "part.parquet")]
    assert closed_windows(path, after=0) == []
    assert snapshot(path).windows == 1


def test_only_the_owner_may_read(state, path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


ENDLESS = """
import sys
from pathlib import Path
from shadowserve.state.lane_file import LaneState, Progress
from shadowserve.records import Outcome
state = LaneState(Path(sys.argv[1]))
n = 0
while True:
    n += 3
    made = Progress(cursor={0: n}, summaries={"n": str(n).encode()})
    made.count(Outcome.BOTH_OK, 2)
    made.count(Outcome.CRASHED)
    state.commit(made)
    print(n, flush=True)
"""


@pytest.mark.parametrize("after_s", [0.0, 0.05])
def test_a_killed_lane_leaves_a_whole_commit(path, after_s):
    told = int(killed(ENDLESS, str(path), after_s=after_s)[-1])
    seen = snapshot(path)
    assert seen.cursor[0] in (told, told + 3)
    assert seen.outcomes == {"both_ok": seen.cursor[0] // 3 * 2, "crashed": seen.cursor[0] // 3}
    assert seen.summaries == {"n": str(seen.cursor[0]).encode()}
