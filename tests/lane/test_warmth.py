"""Only what a warm lane timed is paired, and a lane warms itself where that costs little."""

from __future__ import annotations

import pytest

from rig.journal import request
from rig.lane import TABLE, answer, close, lane
from rig.scoring import body, double, opaque, record
from shadowserve.lane.lock import ScoringLock
from shadowserve.lane.observing import Observer
from shadowserve.lane.warmth import CALLS, SLOW_NS, Warmth
from shadowserve.state.inflight import InFlight, read
from shadowserve.state.lane_reading import snapshot
from shadowserve.state.places import Places


@pytest.fixture
def inflight(tmp_path):
    opened = InFlight(tmp_path / "inflight.bin")
    yield opened
    opened.close()


class Scores:
    """A lane that has scored some requests, and counts its model's calls."""

    def __init__(self, inflight, *, repeat=True, fails=False):
        self.calls = 0

        def noted(frame, params):
            self.calls += 1
            if fails:
                raise ValueError
            return double(frame, params)

        self.observer = Observer(opaque(noted), TABLE, mark=inflight.step)
        self.warmth = Warmth(self.observer, inflight, repeat=repeat)
        self.calls = 0  # those of loading are none

    def score(self, n):
        sent = request(n, body=body(record(n)), content_type="application/json", n_rows=1)
        typed = self.observer.typed(sent)
        self.warmth.scored(typed, self.observer.alone(typed))


def test_a_lane_that_has_just_scored_is_warm(inflight):
    own = Scores(inflight)
    for n in range(1, CALLS + 1):
        own.score(n)
    assert own.warmth.reach()
    assert own.calls == CALLS


def test_a_lane_that_did_something_else_scores_the_last_request_again_until_it_is_warm(inflight):
    own = Scores(inflight)
    own.score(7)
    own.warmth.cool()
    assert own.warmth.reach()
    assert own.calls == 1 + CALLS
    assert own.warmth.reach()
    assert own.calls == 1 + CALLS


def test_a_request_that_is_scored_again_is_in_hand(inflight, tmp_path):
    """A second scoring that hangs is ended at the deadline like a first."""
    own = Scores(inflight)
    own.score(7)
    own.warmth.cool()
    own.warmth.reach()
    assert read(tmp_path / "inflight.bin").positions == (7,)


def test_where_nothing_may_be_scored_twice_a_cold_lane_stays_cold(inflight):
    own = Scores(inflight, repeat=False)
    own.score(1)
    own.warmth.cool()
    assert not own.warmth.reach()
    assert own.calls == 1


def test_a_slow_version_is_warm_of_itself(inflight):
    own = Scores(inflight)
    own.score(1)
    own.warmth.cool()
    own.warmth._last_ns = SLOW_NS
    assert own.warmth.reach()
    assert own.calls == 1


def test_what_failed_is_not_tried_again(inflight):
    own = Scores(inflight, fails=True)
    own.score(1)
    own.warmth.cool()
    assert not own.warmth.reach()
    assert own.calls == 1


def test_a_lane_that_has_scored_nothing_is_cold(inflight):
    assert not Scores(inflight).warmth.reach()


@pytest.mark.parametrize(("rescore", "paired"), [(True, True), (False, False)])
def test_requests_that_come_one_by_one_are_paired_only_where_the_lane_may_warm_up(
    tmp_path, rescore, paired
):
    places = Places(tmp_path)
    places.make()
    answer(places, [record(n) for n in range(1, 326)])
    own = lane(places, opaque(double), rescore=rescore)
    own.take_up()
    for last in (*range(64, 320, 64), *range(320, 326)):  # five of a burst, each read by itself
        own.parts.limit = lambda last=last: {0: last}
        own.turn()
    own.flush()
    close(own)
    rows = {position: found for position, _, _, found in snapshot(own.parts.files.state).bursts}
    assert (b'"ms":null' not in rows[325]) is paired


def test_beside_another_lane_on_its_cpu_nothing_is_paired(tmp_path):
    """A lane that waited too long goes on; what it times then says less of its version."""
    places = Places(tmp_path)
    places.make()
    answer(places, [record(n) for n in range(1, 326)])
    places.crowded.touch()
    own = lane(places, opaque(double), rescore=True)
    own.parts.lock = ScoringLock(places.scoring_lock, patience_s=0.0)
    other = ScoringLock(places.scoring_lock)
    own.take_up()
    own.parts.limit = lambda: {0: 324}
    while own.turn():
        pass
    own.parts.limit = lambda: {0: 325}
    with other.held():
        own.turn()
    own.flush()
    close(own)
    rows = {position: found for position, _, _, found in snapshot(own.parts.files.state).bursts}
    assert b'"ms":null' not in rows[324]
    assert b'"ms":null' in rows[325]
