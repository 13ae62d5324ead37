"""Lanes that die, hang, leak or cannot work: nobody's answer changes, and every request ends once."""

from __future__ import annotations

import os
import signal
import time

import pytest

from rig import tiny
from rig.served import Load, Served

pytestmark = [
    pytest.mark.live,
    pytest.mark.alone,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore"),  # sockets of killed servers, and MLflow's own
]


@pytest.fixture(scope="module")
def served(tmp_path_factory, store):
    """A champion with a challenger that heeds words, one that wants a column, one that is broken."""
    challengers = (tiny.TRICKY, tiny.WANTING, tiny.UNLOADABLE)
    root = tmp_path_factory.mktemp("faults")
    with Served(root, store, "--deadline", "2s", challengers=challengers) as deployment:
        yield deployment


def settled(served):
    """Wait until every lane that works has caught up; the broken one keeps its requests pending."""
    last = {}

    def done():
        last.update(served.ledger())
        return not any(e["pending"] for e in last["lanes"] if e["state"] != "degraded")

    served.until(done, "the lanes to catch up")
    return last


def lane(ledger, version):
    return next(e for e in ledger["lanes"] if (e["role"], e["version"]) == ("challenger", version))


def poison(served, version):
    return [f for f in served.report(version)["findings"] if f["kind"] == "poison_request"]


def test_what_cannot_be_loaded_is_degraded_with_its_module(served):
    """F27, K7: the champion serves, the reason names version and module."""
    broken = served.lane(tiny.UNLOADABLE)
    assert broken["state"] == "degraded"
    assert "a_module_that_is_nowhere" in broken["reason"]
    assert served.post().status_code == 200


def test_a_lane_that_wants_a_column_is_incompatible(served):
    """F26: the reason names the column; each request is an error of the challenger."""
    before = lane(settled(served), tiny.WANTING)
    for _ in range(5):
        assert served.post().status_code == 200
    after = lane(settled(served), tiny.WANTING)
    assert (after["state"], after["reason"]) == ("incompatible", "missing_column:z")
    assert after["challenger_error"] - before["challenger_error"] == 5


def test_an_exception_is_the_challengers_alone(served):
    before = lane(settled(served), tiny.TRICKY)
    told = [served.post("raise" if i == 3 else "nnn") for i in range(8)]
    assert {response.status_code for response in told} == {200}
    after = lane(settled(served), tiny.TRICKY)
    assert after["challenger_error"] - before["challenger_error"] == 1
    assert after["both_ok"] - before["both_ok"] == 7


@pytest.mark.parametrize(
    ("word", "outcome"), [("exit", "crashed"), ("hang", "timed_out"), ("regex", "timed_out")]
)
def test_a_poisonous_request_ends_alone_and_is_named(served, word, outcome):
    """F04, F16, F17, SS-018, SS-030: crash, hang, and code that holds the interpreter."""
    before = lane(settled(served), tiny.TRICKY)
    known = len(poison(served, tiny.TRICKY))
    told = [served.post(word if i == 10 else "nnn") for i in range(20)]
    assert {response.status_code for response in told} == {200}
    after = lane(settled(served), tiny.TRICKY)
    assert after[outcome] - before[outcome] == 1
    assert after["both_ok"] - before["both_ok"] == 19
    found = poison(served, tiny.TRICKY)
    assert len(found) >= max(1, known)
    assert any("note" in str(f["where"]["step"]) for f in found)
    assert settled(served)["balanced"]


def test_deaths_from_outside_cost_nothing_and_are_no_finding(served):
    """Surroundings: the lane is killed with SIGKILL during traffic, as it loads, begins and works."""
    known = [f["message"] for f in poison(served, tiny.TRICKY)]
    before = lane(settled(served), tiny.TRICKY)
    killed = set()
    with Load(served, callers=2, pause_s=0.01) as load:
        for lived_s in (0.2, 1.0, 3.0, 0.2, 1.0, 3.0):
            served.until(lambda: served.lane_pid(tiny.TRICKY) not in killed | {0}, "a new lane")
            time.sleep(lived_s)
            killed.add(pid := served.lane_pid(tiny.TRICKY))
            os.kill(pid, signal.SIGKILL)
    assert len(killed) == 6
    assert set(load.told) == {"200"}
    assert load.wrong == 0
    after = settled(served)
    assert after["balanced"]
    mine = lane(after, tiny.TRICKY)
    assert mine["both_ok"] - before["both_ok"] == load.n
    assert [mine[k] for k in ("crashed", "timed_out")] == [
        before[k] for k in ("crashed", "timed_out")
    ]
    assert [f["message"] for f in poison(served, tiny.TRICKY)] == known


def test_pause_and_resume_act_within_a_second_and_are_counted(served):
    settled(served)
    assert served.client.post(f"{served.console}/pause").status_code == 200
    time.sleep(1.0)
    before = lane(settled(served), tiny.TRICKY)
    for _ in range(10):
        assert served.post().status_code == 200
    paused = lane(settled(served), tiny.TRICKY)
    assert paused["state"] == "paused"
    assert paused["skipped"]["paused"] - before["skipped"]["paused"] == 10
    assert served.client.post(f"{served.console}/resume").status_code == 200
    time.sleep(1.0)
    for _ in range(10):
        assert served.post().status_code == 200
    after = settled(served)
    assert lane(after, tiny.TRICKY)["both_ok"] - paused["both_ok"] == 10
    assert after["balanced"]


def test_a_degraded_lane_is_tried_again_on_resume(served):
    served.until(lambda: served.lane(tiny.UNLOADABLE)["state"] == "degraded", "an earlier try")
    time.sleep(0.5)
    served.client.post(f"{served.console}/resume")
    served.until(lambda: served.lane(tiny.UNLOADABLE)["state"] != "degraded", "a new try")
    served.until(lambda: served.lane(tiny.UNLOADABLE)["state"] == "degraded", "its failure")
    told = served.lane(tiny.UNLOADABLE)
    assert told["pending"] == served.ledger()["journal"]["appended"]


def test_a_leak_is_stopped_at_the_limit_and_named(tmp_path, store):
    """F15: a megabyte a request; the champion's answers do not change."""
    options = ("--lane-memory", "950MiB", "--no-control")
    with Served(tmp_path, store, *options, challengers=(tiny.LEAKY,)) as served:
        first = served.lane_pid(tiny.LEAKY)
        with Load(served, callers=1) as load:
            served.until(lambda: load.n >= 50, "warming")
        leaked = [served.post("leak" * 3).status_code for _ in range(720)]
        assert set(leaked) | set(map(int, load.told)) == {200}
        told = served.settled()
        assert told["balanced"]
        assert served.lane_pid(tiny.LEAKY) != first
        (mine,) = told["lanes"]
        assert mine["both_ok"] + mine["crashed"] == told["journal"]["appended"]
        assert served.findings("memory_growth", tiny.LEAKY)
