"""The control beside challengers that come and go: it waits for no newcomer that has yet to load or to catch up."""

from __future__ import annotations

import pytest

from rig.deployment import CHALLENGER, CONTROL, deployment, made
from rig.scoring import version
from shadowserve.lane.members import Members, follow
from shadowserve.records import Role
from shadowserve.state import deployment as deployments
from shadowserve.state import joining
from shadowserve.state.deployment import LaneName
from shadowserve.state.lane_condition import Condition
from shadowserve.state.lane_file import LaneState, Progress

FIVE = LaneName(Role.CHALLENGER, 5)
AT = "2026-01-02T00:00:00+00:00"


@pytest.fixture
def places(tmp_path):
    places = made(tmp_path, CHALLENGER, CONTROL)
    deployments.write(places, deployment())
    reach(places, CHALLENGER, 60)
    return places


def reach(places, name, sequence):
    """Let a lane have come so far."""
    state = LaneState(places.lane(name.role, name.version, name.stay).state)
    state.commit(Progress(cursor={0: sequence}))
    state.close()


def join(places, since):
    served = joining.joined(deployments.read(places), version(5), path="/models/5", at=AT)
    joining.begin(places, served.lane_of(5), after=since)
    Condition("starting").write(places.lane(FIVE.role, 5, served.stay_of(5).number))
    deployments.write(places, served)
    return served


@pytest.mark.parametrize("since", [{0: 90}, {}])
def test_the_control_goes_on_while_a_newcomer_loads(places, since):
    own = {0: 50}
    limit = follow(Members(places, deployments.read(places)), lambda: own)
    join(places, since)
    assert limit() == {0: 60}
    reach(places, CHALLENGER, 100)
    assert limit() == {0: 100}  # still loading


def test_the_control_waits_for_a_newcomer_once_they_have_met(places):
    own = {0: 50}
    limit = follow(Members(places, deployments.read(places)), lambda: own)
    join(places, {})
    lane = places.lane(FIVE.role, 5)
    Condition("running").write(lane)
    reach(places, FIVE, 49)
    assert limit() == {0: 60}  # it is behind
    reach(places, FIVE, 50)
    assert limit() == {0: 50}
    own[0] = 50
    reach(places, CHALLENGER, 90)
    assert limit() == {0: 50}  # now it is the least advanced, and is waited for
    Condition("starting").write(lane)
    assert limit() == {0: 50}  # also while its process starts again, as for any other


def test_the_control_waits_for_nobody_who_has_left(places):
    own: dict[int, int] = {}
    limit = follow(Members(places, deployments.read(places)), lambda: own)
    join(places, {})
    Condition("running").write(places.lane(FIVE.role, 5))
    assert limit() == {0: 0}
    served = deployments.read(places)
    deployments.write(places, joining.without(places, served, 5, at=AT))
    assert limit() == {0: 60}


def test_a_control_that_starts_anew_does_not_go_back_to_who_is_far_behind(places):
    served = join(places, {})
    Condition("running").write(places.lane(FIVE.role, 5))
    limit = follow(Members(places, served), lambda: {0: 50})
    assert limit() == {0: 60}


def test_there_is_a_line_to_whoever_is_there(places):
    members = Members(places, deployments.read(places))
    (first,) = members.lines()
    served = join(places, {0: 90})
    assert members.lines()[0] is first
    assert len(members.lines()) == 2
    deployments.write(places, joining.without(places, served, 4, at=AT))
    (left,) = members.lines()
    assert left is not first
    with pytest.raises(OSError, match="descriptor"):
        first.read()
    left.close()
    assert members.files().keys() == {5}
