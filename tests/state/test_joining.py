"""Joining and leaving: the ledger balances at every moment, places are frozen, and stays are kept apart."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from rig.deployment import CHALLENGER, CONTROL, deployment, made
from rig.lane import answer, records, work
from rig.scoring import version
from shadowserve.journal import segment_file
from shadowserve.journal.segment_file import segments
from shadowserve.records import Outcome, Role
from shadowserve.report import build
from shadowserve.state import deployment as deployments
from shadowserve.state import joining, ledger
from shadowserve.state.deployment import Deployment, LaneName
from shadowserve.state.family import challengers_before
from shadowserve.state.lane_condition import Condition
from shadowserve.state.lane_file import LaneState, Progress

FIVE = LaneName(Role.CHALLENGER, 5)
AT = "2026-01-02T00:00:00+00:00"


@pytest.fixture
def places(tmp_path):
    places = made(tmp_path, CHALLENGER, CONTROL)
    deployments.write(places, deployment())
    return places


def join(places, served: Deployment, number: int, since="now") -> Deployment:
    """Let a version join as the supervisor does."""
    wanted = joining.joined(served, version(number), path=f"/models/{number}", at=AT)
    after = joining.place_to_begin(places, since)
    joining.begin(places, wanted.lane_of(number), after=after)
    deployments.write(places, wanted)
    return wanted


def leave(places, served: Deployment, number: int) -> Deployment:
    wanted = joining.without(places, served, number, at=AT)
    deployments.write(places, wanted)
    name = served.lane_of(number)
    Condition("left").write(places.lane(name.role, name.version, name.stay))
    return wanted


def told(places, served: Deployment, name: LaneName) -> ledger.LaneLedger:
    known = ledger.read(places, served)
    assert known.balanced
    return next(one for one in (*known.lanes, *known.left) if one.name == name)


def test_what_came_before_a_newcomer_is_none_of_its_own(places):
    answer(places, records(10))
    answer(places, records(4), worker=1)
    served = join(places, deployment(), 5)
    seen = told(places, served, FIVE)
    assert (seen.before, seen.total, seen.pending) == (14, 0, 0)
    assert seen.to_dict()["joined"] == {"position": {"0": 10, "1": 4}, "before": 14}
    answer(places, records(3))
    answer(places, records(2), worker=2)  # a worker that was not there when it joined
    assert told(places, served, FIVE).pending == 5
    work(places, name=FIVE)
    seen = told(places, served, FIVE)
    assert seen.outcomes[Outcome.BOTH_OK] == seen.total == 5
    assert told(places, served, CHALLENGER).before == 0
    assert told(places, served, CHALLENGER).pending == 19


def test_a_newcomer_at_an_empty_journal_has_missed_nothing(places):
    served = join(places, deployment(), 5)
    answer(places, records(2))
    assert told(places, served, FIVE).to_dict()["joined"] is None
    assert told(places, served, FIVE).pending == 2


def test_a_newcomer_may_begin_with_the_oldest_that_is_held(places):
    answer(places, records(40), segment_bytes=6_000)
    oldest = segments(places.journal)[0]
    segment_file.remove(oldest)
    served = join(places, deployment(), 5, "start")
    seen = told(places, served, FIVE)
    assert 0 < seen.before < 40
    assert seen.pending == 40 - seen.before
    assert seen.outcomes.get(Outcome.SKIPPED_BUDGET, 0) == 0  # what was gone by then came before it


def test_a_newcomer_may_begin_with_an_hour_ago(places):
    old = time.time_ns() - 7200 * 10**9
    answer(places, records(6), arrived_wall_ns=old)
    answer(places, records(3))
    since = time.time_ns() - 3600 * 10**9
    served = join(places, deployment(), 5, since)
    assert (told(places, served, FIVE).before, told(places, served, FIVE).pending) == (6, 3)


def test_what_a_worker_counted_and_the_journal_lost_is_not_counted_for_a_newcomer(places):
    answer(places, records(8))
    for segment in segments(places.journal):
        segment_file.remove(segment)
    for since in ("now", "start", 0):
        assert joining.place_to_begin(places, since) == {0: 8}


def test_who_has_left_keeps_its_account(places):
    served = join(places, deployment(), 5)
    answer(places, records(6))
    work(places, name=FIVE, upto=6)
    answer(places, records(2))
    served = leave(places, served, 5)
    answer(places, records(7))
    for segment in segments(places.journal):  # it holds none of them for ever
        segment_file.remove(segment)
    seen = told(places, served, FIVE)
    assert seen.outcomes[Outcome.BOTH_OK] == 6
    assert (seen.pending, seen.after, seen.state) == (0, 9, "left")
    assert build.build(places, served, challenger=5)["compared"] == 6


def test_nothing_of_one_stay_is_mixed_with_the_next(places):
    answer(places, records(3))
    served = join(places, deployment(), 5, "start")
    work(places, name=FIVE)
    served = join(places, leave(places, served, 5), 5)
    again = LaneName(Role.CHALLENGER, 5, 2)
    assert served.lanes == (CHALLENGER, again, CONTROL)
    assert str(again) == "challenger v5-2"
    assert told(places, served, FIVE).outcomes[Outcome.BOTH_OK] == 3
    assert told(places, served, again).total == 0
    assert build.build(places, served, challenger=5)["compared"] == 0
    first = served.until(FIVE)
    assert build.build(places, first, challenger=5)["compared"] == 3


def test_places_are_frozen_and_no_judged_one_is_given_twice(places):
    served = join(places, deployment(), 5)
    assert [served.place_of(n) for n in (4, 5)] == [1, 2]
    served = join(places, leave(places, served, 4), 6)
    assert [served.place_of(n) for n in (5, 6, 4)] == [2, 3, 1]
    assert build.policy_of(served, 6).alpha == pytest.approx(0.05 / 12)


def test_the_place_of_one_that_was_tried_stays_taken_and_of_a_mishap_not(places):
    served = join(places, deployment(), 5)
    left = leave(places, served, 5)
    assert not left.left[0].tried
    assert join(places, left, 6).place_of(6) == 2
    state = LaneState(places.lane(FIVE.role, 5).state)
    state.commit(Progress(outcomes={Outcome.BOTH_OK: 1_000}))
    state.close()
    left = leave(places, served, 5)
    assert left.left[0].tried
    assert join(places, left, 6).place_of(6) == 3


def test_those_who_left_count_for_later_deployments_of_the_same_champion(places):
    served = join(places, deployment(), 5)
    state = LaneState(places.lane(FIVE.role, 5).state)
    state.commit(Progress(outcomes={Outcome.BOTH_OK: 1_000}))
    state.close()
    served = leave(places, served, 5)
    deployments.archive(places, served)
    places.make()
    assert challengers_before(places, deployment(id="next")) == 1


def test_a_deployment_that_nobody_joined_is_written_as_ever(places):
    raw = json.loads(deployment().to_json())
    assert not {"stays", "left", "asked"} & raw.keys()
    served = leave(places, join(places, deployment(), 5), 4)
    assert served.asked == (4,)
    assert deployments.read(places) == served


def test_what_an_aborted_joining_left_is_no_part_of_the_next(places):
    answer(places, records(2))
    joining.begin(places, FIVE, after={0: 1})
    served = join(places, deployment(), 5)
    assert told(places, served, FIVE).before == 2


def test_a_version_logged_anew_between_two_stays_is_told_apart(places):
    served = leave(places, join(places, deployment(), 5), 5)
    other = replace(version(5), digest="f" * 64)
    again = joining.joined(served, other, path="/models/other", at=AT)
    assert again.version_of(FIVE).digest == version(5).digest
    assert again.version_of(again.lane_of(5)).digest == "f" * 64
