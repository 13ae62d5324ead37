"""A lane's process is looked after: killed past its deadline, started again, given up in the end."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

from rig.deployment import CHALLENGER, made
from shadowserve.records import Outcome
from shadowserve.state.inflight import TOO_LARGE
from shadowserve.state.lane_condition import condition
from shadowserve.state.lane_file import LaneState, Progress
from shadowserve.supervisor import watch as watching
from shadowserve.supervisor.child import Child
from shadowserve.supervisor.watch import GAVE_UP, LaneWatch

IN_HAND = """
import sys, time, os
from pathlib import Path
from shadowserve.state.inflight import InFlight
mark = InFlight(Path(sys.argv[1]))
mark.mark([5, 6])
mark.step[0] = 2
print("at work", flush=True)
{then}
"""


@pytest.fixture
def lane(tmp_path):
    """A watch over one process; whatever it started is ended."""
    places = made(tmp_path, CHALLENGER).lane(CHALLENGER.role, 4)
    child = Child(name="lane", command=(), env={**os.environ}, log=tmp_path / "lane.log")
    found = LaneWatch(
        name=CHALLENGER, places=places, child=child, deadline_s=600.0, memory_bytes=2**40
    )
    yield found
    child.kill()


def start(lane, program, *, in_hand=True):
    """Start a program as the lane's process, and wait until it is at work."""
    text = IN_HAND.format(then=program) if in_hand else f"print('at work', flush=True)\n{program}"
    lane.child.command = ("-c", text, str(lane.places.inflight))
    before = lane.child.log.stat().st_size if lane.child.log.exists() else 0
    lane.start()
    until(lambda: b"at work" in lane.child.log.read_bytes()[before:] or not lane.child.running)


def until(true, seconds=30.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def death(lane):
    return json.loads(lane.places.death.read_text())


def ended(lane):
    until(lambda: not lane.child.running)
    lane.look()


def test_a_lane_at_work_is_left_alone(lane):
    start(lane, "time.sleep(60)")
    lane.look()
    assert lane.child.running
    assert condition(lane.places) == ("starting", None)


def test_past_the_deadline_a_lane_is_killed_though_it_holds_the_interpreter(lane):
    """A regex that backtracks cannot be stopped from inside (SS-018)."""
    start(lane, r"import re; re.match(r'(?:\w+\.?)+@', 'a' * 60)")
    lane.deadline_s = 0.0
    lane.look()
    ended(lane)
    told = death(lane)
    assert (told["cause"], told["positions"], told["step"]) == ("deadline", [5, 6], 2)
    assert told["worked_ms"] > 0
    lane.look()
    assert lane.child.running  # it goes on at once


def test_the_time_worked_is_read_before_the_kill_that_makes_the_kernel_forget(lane):
    """A starved lane has worked for less than the wall shows; nobody can tell once it is dead."""
    start(lane, "time.sleep(60)")
    started = watching.inflight.read(lane.places.inflight).started_ns
    lane.look()
    lane._worked = (started, 5 * 10**6)
    lane.child.kill()
    until(lambda: not lane.child.running)
    lane._bury()
    assert death(lane)["worked_ms"] == 5.0


def test_a_lane_that_stood_still_with_its_supervisor_is_left_alone(lane):
    """In a frozen container nobody looks, and time that nobody saw counts for no deadline."""
    start(lane, "time.sleep(60)")
    lane.deadline_s = 0.4
    lane.look()
    lane.child.signal(signal.SIGSTOP)
    until(lambda: watching.inflight.read(lane.places.inflight).worked_ns() > 1e9)
    lane.child.signal(signal.SIGCONT)
    lane.look()
    assert lane.child.running
    until(lambda: lane.look() or not lane.child.running)  # what is seen to take so long is ended
    lane.look()
    assert death(lane)["cause"] == "deadline"


def test_a_mark_that_is_being_written_kills_nobody(lane):
    """Positions without their time were taken for work that began with the machine."""
    start(lane, "mark._map[40:48] = bytes(8); print('torn', flush=True); time.sleep(60)")
    until(lambda: b"torn" in lane.child.log.read_bytes())
    lane.deadline_s = 0.0
    for _ in range(3):
        lane.look()
    assert lane.child.running


def test_before_a_kill_it_is_written_down_where_all_threads_are_and_the_end_is_counted(lane):
    """Also while a call holds the interpreter; frames hold no values."""
    noted, said = [], []
    lane.note = lambda cause, **detail: noted.append((cause, detail["positions"], detail["step"]))
    lane.say = said.append
    hanging = (
        "from shadowserve.host.private_log import silence_others\nsilence_others()\n"
        "import logging, re; logging.getLogger('shadowserve').error('talks')\n"
        "def backtracking(): re.match(r'(?:\\w+\\.?)+@', 'ZQMARKQZ' * 9)\nbacktracking()"
    )
    start(lane, hanging)
    until(lambda: b"said something" in lane.child.log.read_bytes())
    lane.deadline_s = 0.0
    lane.look()
    ended(lane)
    told = lane.child.log.read_text()
    assert "in backtracking" in told
    assert "ZQMARKQZ" not in told
    assert noted == [("deadline", [5, 6], 2)]
    assert "was ended at its deadline with 2 in hand" in said[0]


def test_a_lane_that_waits_for_work_has_no_deadline(lane):
    start(lane, "mark.clear(); time.sleep(60)")
    until(lambda: not watching.inflight.read(lane.places.inflight).positions)
    lane.deadline_s = 0.0
    lane.look()
    assert lane.child.running


def test_a_lane_beyond_its_memory_is_restarted(lane):
    start(lane, "time.sleep(60)")
    lane.memory_bytes = 1
    lane.look()
    ended(lane)
    assert death(lane)["cause"] == "memory"


def test_a_crash_with_requests_in_hand_is_written_down(lane):
    start(lane, "os._exit(3)")
    ended(lane)
    assert death(lane)["cause"] == "crash"
    assert lane.barren_deaths == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_death_from_outside_is_known_as_such(lane, number):
    start(lane, "time.sleep(60)")
    os.kill(lane.child.pid, number)
    ended(lane)
    assert death(lane)["cause"] == "outside"
    assert lane.quick_poisonings == 0


def test_two_deaths_are_two_deaths(lane):
    found = set()
    for _ in range(2):
        start(lane, "os._exit(3)")
        ended(lane)
        found.add(death(lane)["id"])
    assert len(found) == 2


def test_a_mark_of_an_earlier_process_is_not_held_against_a_later_one(lane):
    start(lane, "os._exit(3)")
    ended(lane)
    lane.places.death.unlink()
    start(lane, "sys_exit = __import__('os')._exit(3)", in_hand=False)
    ended(lane)
    assert not lane.places.death.exists()
    assert lane.barren_deaths == 1


def test_deaths_without_progress_lead_to_longer_pauses_and_then_to_degraded(lane):
    pauses = []
    for _ in range(watching.MAX_BARREN_DEATHS):
        start(lane, "raise SystemExit(3)", in_hand=False)
        ended(lane)
        pauses.append(lane.start_again_ns)
        assert not lane.degraded or len(pauses) == watching.MAX_BARREN_DEATHS
        lane.look()
        assert not lane.child.running  # it waits, or has given up
    assert pauses[:-1] == sorted(set(pauses[:-1]))
    state, reason = condition(lane.places)
    assert state == "degraded"
    assert "resume" in reason
    lane.look()
    assert not lane.child.running


def test_a_lane_that_lived_long_begins_to_count_anew(lane):
    lane.barren_deaths = watching.MAX_BARREN_DEATHS - 1
    start(lane, "raise SystemExit(3)", in_hand=False)
    lane.child.started_ns -= watching.STEADY_NS
    ended(lane)
    assert not lane.degraded
    assert lane.barren_deaths == 1


def test_a_lane_that_gave_up_keeps_its_own_reason_until_resumed(lane):
    start(lane, f"raise SystemExit({GAVE_UP})", in_hand=False)
    lane.places.condition.write_text('{"state": "degraded", "reason": "own"}')
    ended(lane)
    assert lane.degraded
    assert condition(lane.places) == ("degraded", "own")
    lane.resume()
    lane.child.command = ("-c", "import time; time.sleep(60)")
    lane.look()
    assert lane.child.running


def test_a_lane_that_dies_of_nearly_every_request_is_given_up(lane):
    lane.quick_poisonings = watching.MAX_QUICK_POISONINGS - 1
    start(lane, "os._exit(3)")
    ended(lane)
    assert lane.degraded
    assert "20 times in a row within 100 requests" in condition(lane.places)[1]
    lane.resume()
    assert lane.quick_poisonings == 0


def test_a_lane_that_gets_far_between_its_deaths_goes_on(lane):
    """It catches up: in seconds it meets each poison among thousands of good requests."""
    state = LaneState(lane.places.state)
    lane.quick_poisonings = watching.MAX_QUICK_POISONINGS - 1
    start(lane, "time.sleep(60)")
    state.commit(Progress(outcomes={Outcome.BOTH_OK: watching.QUICK_REQUESTS}))
    lane.child.signal(signal.SIGABRT)
    ended(lane)
    assert not lane.degraded
    assert lane.quick_poisonings == 0
    state.close()


def test_a_clean_end_is_no_death(lane):
    start(lane, "mark.clear()")
    lane._say("running", None)
    ended(lane)
    assert not lane.places.death.exists()
    assert lane.barren_deaths == 0


def test_a_version_that_exits_while_it_is_loaded_is_given_up_with_the_cause(lane, monkeypatch):
    monkeypatch.setattr(watching, "FIRST_PAUSE_S", 0.0)
    for _ in range(watching.MAX_BARREN_DEATHS):
        start(lane, "import os; os._exit(0)", in_hand=False)
        ended(lane)
    state, reason = condition(lane.places)
    assert state == "degraded"
    assert "exit code 0" in reason
    assert "while it was loaded" in reason


def test_a_version_that_kills_its_process_while_it_is_loaded_is_told_and_tried_again(lane):
    """Nobody can tell it from deaths from outside, which cost nothing."""
    for _ in range(watching.MAX_BARREN_DEATHS + 1):
        start(lane, "import os; os.kill(os.getpid(), 9)", in_hand=False)
        ended(lane)
        assert lane.start_again_ns > 0
    state, reason = condition(lane.places)
    assert state == "starting"
    assert "SIGKILL" in reason


def test_a_lane_killed_with_the_same_request_in_hand_each_time_is_killed_by_that_request(lane):
    causes = []
    for _ in range(2 * watching.MAX_SAME):
        start(lane, "os.kill(os.getpid(), 9)")
        ended(lane)
        causes.append(death(lane)["cause"])
    seen = [n for n, cause in enumerate(causes, start=1) if cause == "crash"]
    assert seen == [watching.MAX_SAME, 2 * watching.MAX_SAME]


def test_what_a_lane_said_of_its_own_end_is_the_reason(lane):
    start(lane, "raise SystemExit(1)", in_hand=False)
    lane._say("starting", "ValueError at odd.py:3 load, between calls of the model")
    ended(lane)
    assert "ValueError at odd.py:3" in condition(lane.places)[1]


def test_a_call_that_ends_when_its_stacks_are_asked_for_was_overdue_all_the_same(lane):
    """A library's own sleep ends at any signal; then nothing is in hand any more when it is killed."""
    lane.deadline_s = 0.2
    start(
        lane,
        "import signal; from shadowserve.host.private_log import STACKS\n"
        "signal.signal(STACKS, lambda *_: mark.clear())\ntime.sleep(60)",
    )
    until(lambda: lane.look() or not lane.child.running)
    ended(lane)
    assert death(lane)["positions"] == [5, 6]
    assert death(lane)["cause"] == "deadline"
    assert lane.barren_deaths == 0


@pytest.fixture
def isolated(lane, tmp_path):
    """A lane whose environment is made before."""
    lane.maker = Child(name="maker", command=(), env={**os.environ}, log=tmp_path / "maker.log")
    lane.child.command = ("-c", "import time; print('at work', flush=True); time.sleep(60)")
    yield lane
    lane.maker.kill()


def made_by(lane, program):
    lane.maker.command = ("-c", program)
    lane.start()
    until(lambda: not lane.maker.running)
    lane.look()


def test_a_lane_begins_once_its_environment_is_made(isolated):
    isolated.maker.command = ("-c", "import time; time.sleep(60)")
    isolated.start()
    isolated.look()
    assert not isolated.child.running
    isolated.maker.kill()
    isolated.maker.process = None
    made_by(isolated, "pass")
    assert isolated.child.running
    isolated.look()
    assert not isolated.degraded


def test_an_environment_that_cannot_be_made_gives_the_lane_up_until_somebody_says_resume(isolated):
    made_by(isolated, f"raise SystemExit({GAVE_UP})")
    assert isolated.degraded
    assert not isolated.child.running
    isolated.resume()
    isolated.maker.command = ("-c", "pass")
    isolated.look()
    until(lambda: not isolated.maker.running)
    isolated.look()
    assert isolated.child.running


def test_a_maker_that_is_killed_is_started_again_after_a_pause(isolated):
    made_by(isolated, "import os; os.kill(os.getpid(), 9)")
    assert not isolated.degraded
    assert isolated.start_again_ns > time.monotonic_ns()
    assert "its environment was not made" in condition(isolated.places).reason


def test_an_isolated_versions_memory_is_the_lanes_cause(lane):
    start(lane, f"sys.exit({TOO_LARGE})")
    ended(lane)
    assert death(lane)["cause"] == "memory"
