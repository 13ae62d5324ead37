"""The open window is taken up after a death, and closed once for good."""

from __future__ import annotations

import json
import time

import pandas as pd
import pytest

from shadowserve.lane import windows
from shadowserve.lane.open_window import OpenWindow
from shadowserve.records import Comparison, Outcome, Role
from shadowserve.state.lane_file import LaneState, Progress
from shadowserve.state.lane_reading import closed_windows


@pytest.fixture
def opened(tmp_path):
    """Open the window of a lane's file, as each of its processes does."""
    (tmp_path / "parts").mkdir()

    def take_up():
        state = LaneState(tmp_path / "state.db")
        window = OpenWindow(state, tmp_path / "parts", Role.CHALLENGER)
        window.take_up()
        return window

    return take_up


def fill(window, *positions):
    ended = [
        Comparison(
            position=position,
            request_id=f"r{position}",
            arrived_wall_ns=123,
            n_rows=1,
            window=window.number,
            outcome=Outcome.CHAMPION_ERROR,
        )
        for position in positions
    ]
    rows = [(one.position, one.window, windows.encode(one)) for one in ended]
    window.state.commit(Progress(comparisons=rows))
    window.n += len(rows)


def test_an_empty_one_stays_open(opened, tmp_path):
    window = opened()
    window.close()
    assert (window.number, window.n) == (0, 0)
    assert closed_windows(tmp_path / "state.db", after=-1) == []


def test_a_full_one_becomes_a_part_and_the_next_begins(opened, tmp_path):
    window = opened()
    window.begin()
    fill(window, 1, 2, 3)
    window.close(merged=2)
    assert (window.number, window.n, window.opened_ns) == (1, 0, 0)
    [closed] = closed_windows(tmp_path / "state.db", after=-1)
    assert (closed.number, closed.n) == (0, 3)
    assert json.loads(closed.metrics)[windows.MERGED] == 2
    part = pd.read_parquet(tmp_path / "parts" / closed.part)
    assert part["position"].tolist() == [1, 2, 3]


def test_what_the_last_process_left_open_goes_on(opened):
    fill(opened(), 1, 2)
    window = opened()
    assert (window.number, window.n) == (0, 2)
    assert window.opened_ns > 0
    fill(window, 3)
    window.close()
    assert opened().number == 1


def test_its_time_runs_from_the_first_request(opened, monkeypatch):
    window = opened()
    window.begin()
    first = window.opened_ns
    window.begin()
    assert window.opened_ns == first
    fill(window, 1)
    assert not window.is_full()
    monkeypatch.setattr(time, "time_ns", lambda: first + windows.WINDOW_NS)
    assert window.is_full()
    assert not window.is_full(2)
