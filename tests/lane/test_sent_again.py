"""What a replay sent is scored like any other request, is counted as that, and teaches a lane nothing."""

from __future__ import annotations

import sys

from rig.deployment import CHALLENGER, CONTROL, deployment, made
from rig.lane import answer, parts, records, told, work
from rig.scoring import double, opaque
from shadowserve.comparison.learned import Learned
from shadowserve.state import ledger
from shadowserve.state.lane_reading import snapshot


def wrong(frame, params):
    """Disagree on all that only the replay asks, fail on some of it, and leave on the rest."""
    ages = frame["age"]
    if (ages >= 3_000).any():
        sys.exit(3)
    if (ages >= 2_000).any():
        raise ValueError
    return double(frame, params) * (1 if (ages < 1_000).all() else 7)


def learned(places):
    file = places.lane(CHALLENGER.role, CHALLENGER.version).state
    return Learned.from_state(snapshot(file).summaries)


def replayed(places):
    answer(places, records(20))
    for base in (1_000, 2_000, 3_000):
        many = [{**one, "age": base + n, "title": "x" * 5_000} for n, one in enumerate(records(40))]
        answer(places, many, replay="r1")
    answer(places, records(20))


def test_nothing_is_learnt_of_what_was_sent_again(tmp_path):
    """Not even where each of them differs, fails, is larger than all others, and never seen before."""
    alone, beside = made(tmp_path / "a"), made(tmp_path / "b")
    answer(alone, records(20))
    answer(alone, records(20))
    replayed(beside)
    work(alone, opaque(wrong))
    assert work(beside, opaque(wrong)).execution._looking._large._n == 40
    assert told(alone) == {"both_ok": 40}
    assert told(beside) == {"both_ok": 40, "replayed": 120}
    assert len(parts(beside)) == 40
    ours, theirs = learned(beside), learned(alone)
    assert (ours.requests, ours.units.without) == (theirs.requests, theirs.units.without)
    assert ours.outputs.disagreement.n == 40
    assert ours.outputs.disagreement.mean == 0
    assert ours.sizes["title"].state() == theirs.sizes["title"].state()
    assert ours.failures.state() == theirs.failures.state()
    assert (ours.measuring.requests, ours.measuring.timed) == (40, theirs.measuring.timed)
    assert not ours.slow_requests() or max(r["key"] for r in ours.slow_requests()) < 10_000


def test_the_ledger_balances_with_what_was_sent_again(tmp_path):
    places = made(tmp_path, CHALLENGER, CONTROL)
    replayed(places)
    work(places)
    found = ledger.read(places, deployment())
    assert found.balanced
    assert found.lanes[0].to_dict()["replayed"] == 120


def test_it_is_scored_all_the_same(tmp_path):
    places, seen = made(tmp_path), []
    answer(places, records(30), replay="r1")

    def counting(frame, params):
        seen.append(len(frame))
        return double(frame, params)

    work(places, opaque(counting))
    assert sum(seen) >= 30
    assert told(places) == {"replayed": 30}


def test_what_is_sampled_out_of_it_is_counted_as_sent_again(tmp_path):
    places = made(tmp_path)
    answer(places, records(6), sampled=lambda n: n % 2 == 0, replay="r1")
    work(places)
    assert told(places) == {"replayed": 6}


def test_in_a_pause_it_is_no_request_that_was_missed(tmp_path):
    places = made(tmp_path)
    answer(places, records(6), replay="r1")
    answer(places, records(4))
    places.paused.touch()
    work(places)
    assert told(places) == {"skipped_paused": 4, "replayed": 6}


def test_however_far_behind_a_lane_is_no_coverage_is_lost_by_it(tmp_path):
    """A share of what was compared that fell with each replay would reject by it."""
    places = made(tmp_path, CHALLENGER, CONTROL)
    answer(places, records(30))
    work(places)
    answer(places, records(20))
    for _ in range(3):
        answer(places, records(40), replay="r1")
    challenger, control = ledger.read(places, deployment()).lanes
    assert (challenger.pending, challenger.own) == (140, 50)
    assert (control.pending, control.own) == (170, 50)
    work(places)
    challenger, _ = ledger.read(places, deployment()).lanes
    assert (challenger.pending, challenger.own, challenger.total) == (0, 50, 170)
