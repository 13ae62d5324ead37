"""A lane that is behind says so, in the ledger, the report, on the page and with the verdict."""

from __future__ import annotations

import re

import pytest

from rig.deployment import CHALLENGER, CONTROL, deployment, made
from rig.judging import FEW
from rig.lane import answer, records, work
from rig.report_schema import SCHEMA, closed, faults
from rig.scoring import double, opaque
from shadowserve.judgement.facts import gather
from shadowserve.judgement.findings import look
from shadowserve.judgement.verdict import judge
from shadowserve.report.build import build
from shadowserve.report.page import document
from shadowserve.settings.policy import Policy
from shadowserve.state import ledger
from shadowserve.state.behind import TOLD_S, Behind, behind
from shadowserve.statistics.headway import Headway
from shadowserve.statistics.thinning import Thinning

NOW_S = 1_800_000_000.0


def headway(*, came, dealt, seconds=30):
    found = Headway()
    found.pass_time(seconds * 10**9, came=came * seconds, dealt=dealt * seconds)
    return found


def told(*, came, dealt, lag_s=2_400.0, pending=10_000, thinning=None, **options):
    pace = headway(came=came, dealt=dealt)
    for name, value in options.items():
        setattr(pace, name, value)
    return behind(pace, thinning or Thinning(), lag_s=lag_s, pending=pending, now_s=NOW_S)


def test_a_lane_that_keeps_up_says_nothing():
    assert told(came=10, dealt=10, lag_s=TOLD_S - 1) is None


def test_when_it_has_caught_up_follows_from_its_pace():
    found = told(came=100, dealt=300, pending=120_000)
    assert found.left_s == pytest.approx(600)
    assert found.needed is None
    assert found.to_dict()["caught_up"] == "2027-01-15T08:10:00+00:00"


@pytest.mark.parametrize("dealt", [0, 50, 99, 100, 101])
def test_no_time_is_promised_where_it_does_not_catch_up(dealt):
    found = told(came=100, dealt=dealt)
    assert found.left_s is None
    assert found.to_dict()["caught_up"] is None
    assert "caught up" not in str(found)


@pytest.mark.parametrize(
    ("came", "dealt", "processes", "needed"),
    [(100, 99, 1, 2), (300, 100, 1, 4), (300, 100, 2, 7), (300, 0, 1, None)],
)
def test_how_many_processes_it_needs_goes_by_those_it_has(came, dealt, processes, needed):
    assert told(came=came, dealt=dealt, processes=processes).needed == needed


def thinned(level):
    found = Thinning()
    found.level = level
    return found


def test_what_is_thinned_counts_as_work_that_is_not_done():
    assert told(came=100, dealt=90, thinning=thinned(2)).needed == 5
    assert "1 request in 4 is scored" in str(told(came=1, dealt=2, lag_s=0, thinning=thinned(2)))


def test_a_far_day_is_told_as_a_day():
    assert "on 2027-01-26" in str(told(came=0, dealt=1, pending=1_000_000))


def test_a_short_time_is_told_in_minutes():
    assert str(Behind(90.0, 1, 1.0, 2.0)).startswith(
        "the last 2 minutes (1 request) are not scored yet"
    )


def late(path, *, upto):
    """A deployment whose lane has scored a part of what came hours ago."""
    places = made(path, CHALLENGER)
    answer(places, records(600), arrived_wall_ns=10**18)
    work(places, upto=upto)
    return places, deployment(control=False, options={"verdict": FEW})


def test_ledger_report_page_and_verdict_say_what_is_not_scored_yet(tmp_path):
    places, served = late(tmp_path, upto=200)
    lane = ledger.read(places, served).lanes[0]
    assert lane.behind is not None
    assert lane.pending == lane.behind.pending > 0
    wanted = re.compile(r"the last [\d,]+ days \(\d+ requests\) are not scored yet")
    assert wanted.search(lane.to_dict()["behind"]["says"])
    report = build(places, served, challenger=4)
    assert not faults(report, closed(SCHEMA))
    assert any(wanted.search(note) for note in report["notes"])
    assert any(wanted.search(reason) for reason in report["judgement"]["reasons"])
    assert wanted.search(document.render(report))


def test_a_lane_that_has_caught_up_says_nothing_anywhere(tmp_path):
    places, served = late(tmp_path, upto=None)
    report = build(places, served, challenger=4)
    assert "not scored yet" not in str(report)


def test_a_paused_lane_is_not_called_behind(tmp_path):
    places, served = late(tmp_path, upto=200)
    places.paused.touch()
    assert ledger.read(places, served).lanes[0].behind is None


def test_thinned_traffic_that_disagreed_more_is_not_promoted(tmp_path):
    """What was scored disagrees little; what stands for many does not."""
    places, served = late(tmp_path, upto=None)
    known = gather(places, served, challenger=4)
    policy = Policy(min_requests=100, max_disagreement=0.2)
    limit = {one.name: one for one in judge(known, look(known, policy), policy).limits}
    assert limit["disagreement"].state == "kept"
    weighed = known.learned.weighed
    weighed.left_out = 500.0
    weighed.disagreement.mean = 0.5
    limit = {one.name: one for one in judge(known, look(known, policy), policy).limits}
    assert limit["disagreement"].state == "undecided"
    assert "While the lane was behind" in limit["disagreement"].says


def test_a_control_that_waits_for_a_challenger_is_not_called_behind(tmp_path):
    places = made(tmp_path, CHALLENGER, CONTROL)
    answer(places, records(600), arrived_wall_ns=10**18)
    work(places, upto=200)
    work(places, opaque(double, number=3), name=CONTROL, upto=200)
    served = deployment(options={"verdict": FEW})
    lanes = {one.name.role.value: one.behind for one in ledger.read(places, served).lanes}
    assert lanes["challenger"] is not None
    assert lanes["control"] is None
    work(places)
    lanes = {one.name.role.value: one.behind for one in ledger.read(places, served).lanes}
    assert lanes["challenger"] is None
    assert lanes["control"] is not None
