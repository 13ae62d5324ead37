"""What a report reads besides a lane's summaries: windows over time, single requests, pairs of numbers, silence."""

from __future__ import annotations

import os
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from rig.evidence import CHALLENGER, CONTROL, close_windows, comparison, deployment, state_directory
from shadowserve.lane import windows
from shadowserve.lane.tables import pack, table
from shadowserve.report import build
from shadowserve.report.joint import joint
from shadowserve.report.over_time import MOST, History, of_step
from shadowserve.report.recorded import latest_answers, request
from shadowserve.state.lane_file import LaneState, Progress
from shadowserve.state.places import Places


@pytest.fixture
def places(tmp_path) -> Places:
    return state_directory(tmp_path, deployment("sqlite:///none.db", control=True))


def own(places: Places):
    return places.lane(CHALLENGER.role, CHALLENGER.version)


def told(places: Places) -> dict:
    served = deployment("sqlite:///none.db", control=True)
    return build.build(places, served, challenger=4)


def test_each_window_is_a_point_of_the_series_beside_the_controls(places):
    close_windows(places, CHALLENGER, 3)
    close_windows(places, CONTROL, 2)
    over = told(places)["over_time"]
    assert over["challenger"]["n"] == [10, 10, 10]
    assert len(over["control"]["n"]) == 2
    assert over["challenger"]["disagreement"] == pytest.approx([0.05] * 3)
    assert {len(column) for column in over["challenger"].values()} == {3}
    assert [one["kind"] for one in over["events"]] == ["start"]


def test_a_history_goes_on_where_it_was_and_says_what_a_fresh_one_says(places):
    history = History()
    close_windows(places, CHALLENGER, 2)
    first = history.points(own(places).state)
    close_windows(places, CHALLENGER, 1)
    again = history.points(own(places).state)
    assert again[:2] == first
    assert again == History().points(own(places).state)


def test_a_history_of_a_file_that_began_anew_is_read_anew(places):
    history = History()
    close_windows(places, CHALLENGER, 2)
    before = history.series(own(places).state, CHALLENGER)
    with closing(sqlite3.connect(own(places).state)) as file, file:
        file.execute(
            "UPDATE window SET opened_ns = opened_ns + 1000000000, closed_ns = closed_ns + 1000000000"
        )
    after = history.series(own(places).state, CHALLENGER)
    assert after == History().series(own(places).state, CHALLENGER)
    assert after["until"] == pytest.approx([at + 1 for at in before["until"]])
    for file in own(places).state.parent.glob("state.db*"):
        file.unlink()
    assert history.points(own(places).state) == []


def test_many_windows_are_joined_by_means_and_largest_p99(places, tmp_path):
    close_windows(places, CHALLENGER, 2, n=10, metrics={"latency_ms/lag/max": 5.0})
    close_windows(places, CHALLENGER, 1, n=30, metrics={"latency_ms/lag/max": 9.0})
    history = History()
    whole = history.points(own(places).state)
    file = own(places).state
    # As if there were so many windows that two and more go into one.
    history._known[file] = history._known[file][:3] * MOST
    joined = history.points(file)
    assert len(joined) == MOST
    assert joined[0].n == sum(one.n for one in whole)
    assert joined[0].most("latency_ms/lag/max") == 9.0
    assert joined[0].mean("latency_ms/lag/max") == pytest.approx((20 * 5 + 30 * 9) / 50)


def test_a_step_has_a_history_of_its_own_in_each_role(places):
    close_windows(places, CHALLENGER, 2)
    found = of_step(places, [CHALLENGER], "description", History())
    assert set(found) == {"champion", "challenger"}
    assert len(found["challenger"]["p50_ms"]) == 2
    assert max(found["challenger"]["p99_ms"]) > 30
    assert of_step(places, [CHALLENGER], "no such step", History())["challenger"]["n"] == []


def test_a_recorded_request_is_found_in_its_part_and_before_there_is_one(places):
    close_windows(places, CHALLENGER, 2)
    found = request(own(places), 13)
    assert found["request_id"] == "request-13"
    assert found["champion_prediction"] == ["a"]
    assert found["lane_steps_ms"] == {"description": 1.0, "estimator": 1.0}
    assert request(own(places), 99) is None
    state = LaneState(own(places).state)
    row = windows.encode(comparison(98, 2))
    state.commit(
        Progress(comparisons=[(98, 2, row)], pieces=[(2, 1, pack(table([comparison(99, 2)])))])
    )
    state.close()
    assert request(own(places), 98)["position"] == 98
    assert request(own(places), 99)["position"] == 99


def test_a_part_that_has_gone_is_no_fault(places):
    close_windows(places, CHALLENGER, 2)
    for part in own(places).parts.glob("*.parquet"):
        part.unlink()
    assert request(own(places), 3) is None
    assert latest_answers(own(places)) == []


def test_a_part_that_was_cut_short_hides_no_other(places):
    close_windows(places, CHALLENGER, 2)
    first, newest = sorted(own(places).parts.glob("*.parquet"))
    newest.write_bytes(newest.read_bytes()[:100])
    (own(places).parts / "1-999.parquet").write_bytes(b"")
    assert len(latest_answers(own(places))) > 0
    assert request(own(places), int(first.stem.split("-")[0]))["outcome"] == "both_ok"
    assert request(own(places), int(newest.stem.split("-")[1])) is None


def test_a_history_that_several_ask_at_once_is_read_once(places):
    close_windows(places, CHALLENGER, 40)
    history = History()
    with ThreadPoolExecutor(8) as askers:
        told = list(askers.map(history.points, [own(places).state] * 16))
    assert [len(points) for points in told] == [40] * 16


def test_the_latest_answers_are_of_the_newest_parts(places):
    close_windows(places, CHALLENGER, 3)
    parts = sorted(own(places).parts.glob("*.parquet"))
    parts[0].write_bytes(b"never read: enough lies in newer ones")
    for age, part in enumerate(reversed(parts)):
        os.utime(part, (time.time() - age, time.time() - age))
    assert latest_answers(own(places), most=15) == [("a", "b")] * 15


@pytest.mark.parametrize(
    "pairs",
    [[], [(1.0, 2.0)] * 19, [(float("nan"), 1.0)] * 50, [("a", "b")] * 50, [(True, False)] * 50, [(None, 1.0)] * 50],
    ids=["none", "few", "nan", "texts", "booleans", "nulls"],
)  # fmt: skip
def test_without_enough_numbers_there_is_no_density(pairs):
    assert joint(pairs) is None


@pytest.mark.parametrize("value", [0.0, -1e299, 7, 2**70])
def test_numbers_that_are_all_alike_lie_in_one_cell(value):
    told = joint([(value, value)] * 30)
    assert [cell[2] for cell in told["cells"]] == [30]
    assert told["high"] > told["low"]


def test_a_stray_number_is_counted_at_the_end_and_does_not_squeeze_the_rest():
    told = joint([*((float(i % 100), float(i % 100)) for i in range(1_000)), (1e12, -1e12)])
    assert told["high"] < 101
    assert sum(cell[2] for cell in told["cells"]) == told["n"] == 1_001
    assert [23, 0, 1] in told["cells"]


def test_a_lane_that_commits_nothing_while_requests_wait_stands_still(tmp_path, places):
    close_windows(places, CHALLENGER, 1)
    long_ago = time.time() - 300
    for file in own(places).state.parent.glob("state.db*"):
        os.utime(file, (long_ago, long_ago))
    quiet = told(places)["quiet"]["lanes"][0]
    assert quiet["quiet_s"] == pytest.approx(300, abs=30)
    assert not quiet["still"]  # nothing waits: it has nothing to do


def test_evidence_is_silent_where_its_writer_has_seen_no_window_for_long(places):
    close_windows(places, CHALLENGER, 1)
    assert not told(places)["quiet"]["evidence"]["still"]
    (part,) = own(places).parts.glob("*.parquet")
    os.utime(part, (time.time() - 600, time.time() - 600))
    assert told(places)["quiet"]["evidence"]["still"]
    places.arrival.write_text("{}")
    assert not told(places)["quiet"]["evidence"]["still"]
