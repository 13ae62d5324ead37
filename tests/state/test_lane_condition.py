"""A lane's condition: whoever writes it, one form."""

from __future__ import annotations

import json
import os
import time

import pytest

from rig.deployment import CHALLENGER, made
from shadowserve.state.lane_condition import LONG_START_S, Condition, condition


@pytest.fixture
def lane(tmp_path):
    return made(tmp_path, CHALLENGER).lane(CHALLENGER.role, CHALLENGER.version)


def test_a_lane_that_has_written_nothing_is_about_to_start(lane):
    assert condition(lane) == Condition("starting", None)


def test_what_is_written_is_read_and_the_file_is_as_it_always_was(lane):
    Condition("degraded", "why").write(lane)
    assert condition(lane) == ("degraded", "why")
    assert json.loads(lane.condition.read_text()) == {"state": "degraded", "reason": "why"}


@pytest.mark.parametrize(("reason", "told"), [(None, True), ("starts again in 2 s", False)])
def test_a_lane_that_loads_for_long_is_told_of_unless_it_has_said_why(lane, reason, told):
    Condition("starting", reason).write(lane)
    past = time.time() - LONG_START_S - 60
    os.utime(lane.condition, (past, past))
    found = condition(lane)
    assert found.state == "starting"
    assert ("has been loading for 3 min" in (found.reason or "")) is told
