"""A lane far behind: a share is scored, evenly and alike in all lanes, and the ledger still balances."""

from __future__ import annotations

import random
import time

import numpy as np
import orjson
import pytest

from rig.deployment import CHALLENGER, CONTROL, made
from rig.lane import answer, in_a_child, parts, records, told, work
from rig.lane import lane as made_lane
from rig.scoring import double, opaque
from shadowserve.comparison.bursts import BURST_EVERY, block_of
from shadowserve.comparison.learned import Learned
from shadowserve.journal.reader import Batch
from shadowserve.lane import tables, windows
from shadowserve.lane.intake import is_kept
from shadowserve.records import Comparison, Outcome
from shadowserve.schema.rows import Rows
from shadowserve.settings.vocabulary import WhenBehind
from shadowserve.state.death import Death
from shadowserve.state.lane_file import LaneState
from shadowserve.state.lane_reading import snapshot
from shadowserve.statistics import thinning
from shadowserve.statistics.units import unit_of

N = 3_000
LONG_AGO = 10**18
SAMPLE = WhenBehind.SAMPLE


@pytest.fixture(autouse=True)
def looks_often(monkeypatch):
    """Look at each read: a test has no minutes to fall behind in."""
    monkeypatch.setattr("shadowserve.lane.backlog.LOOK_NS", 0)
    monkeypatch.setattr(thinning, "LOOK_NS", 10**6)


def places_at(path, n=N, **options):
    places = made(path, CHALLENGER, CONTROL)
    answer(places, records(n), arrived_wall_ns=LONG_AGO, **options)
    return places


def learned(places, name=CHALLENGER):
    return Learned.from_state(snapshot(places.lane(name.role, name.version).state).summaries)


def scored(places, name=CHALLENGER):
    return set(parts(places, name)["position"])


def test_a_lane_that_is_told_nothing_scores_all_however_late(tmp_path):
    places = places_at(tmp_path, 1_000)
    work(places)
    assert told(places) == {"both_ok": 1_000}


def test_a_lane_that_may_thin_scores_a_share_of_the_blocks_and_counts_the_rest(tmp_path):
    places = places_at(tmp_path)
    work(places, when_behind=SAMPLE)
    found, shares = told(places), learned(places).thinning
    assert set(found) == {"both_ok", "sampled_out"}
    assert sum(found.values()) == N
    assert found["both_ok"] < 0.6 * N
    wanted = {
        p for p in range(1, N + 1) if is_kept(shares.told(block_of(p)), position=p, unit=None)
    }
    assert scored(places) == wanted


def test_what_was_scored_stands_for_what_was_not(tmp_path):
    places = places_at(tmp_path)
    work(places, when_behind=SAMPLE)
    rows, shares, known = parts(places), learned(places).thinning, learned(places)
    assert rows["share"].tolist() == [shares.told(block_of(p)) for p in rows["position"]]
    assert (rows["inclusion"] <= rows["share"]).all()
    assert known.met == pytest.approx(N, rel=0.25)
    assert known.met == pytest.approx((1 / rows["share"]).sum())


def test_the_control_thins_the_same_requests(tmp_path):
    places = places_at(tmp_path)
    work(places, when_behind=SAMPLE)
    work(places, opaque(double, number=3), name=CONTROL)
    assert scored(places, CONTROL) < scored(places)
    # Of what it may score, bursts, it leaves out what the challenger has left out, and no other.
    whole = places_at(tmp_path / "whole")
    work(whole)
    work(whole, opaque(double, number=3), name=CONTROL)
    assert scored(places, CONTROL) >= scored(whole, CONTROL) & scored(places)
    assert told(places, CONTROL, control=True)["sampled_out"] > N / 2


@pytest.mark.parametrize("by", ["column", "header"])
def test_an_entity_is_scored_as_a_whole_or_not_at_all(tmp_path, by):
    """Within a share; the entity is the age, of which there are few."""
    places = made(tmp_path, CHALLENGER, CONTROL)
    sent = [one | {"age": float(n % 40)} for n, one in enumerate(records(N))]
    if by == "header":
        for unit in range(40):
            answer(places, records(50), arrived_wall_ns=LONG_AGO, unit=unit)
    else:
        answer(places, sent, arrived_wall_ns=LONG_AGO)
    it = made_lane(
        places, opaque(double), when_behind=SAMPLE, entity="age" if by == "column" else None
    )
    total = 2_000 if by == "header" else N
    it.parts.stopping = lambda: sum(it.parts.tail.cursor.values()) >= total and not it._ahead
    it.run()
    shares = it.commits.learned.thinning
    it.parts.tail.close()
    it.parts.state.close()
    it.parts.inflight.close()
    kept = scored(places)
    for place in range(1, total + 1):
        age = (place - 1) % 40
        unit = (
            (place - 1) // 50
            if by == "header"
            else unit_of(_rows(float(age)), entity="age", salt=b"salt")
        )
        assert (place in kept) == is_kept(shares.told(block_of(place)), position=place, unit=unit)
    assert 0 < len(kept) < total


def _rows(age):
    return Rows({"age": np.array([age])}, 1)


def test_a_lane_that_is_killed_again_and_again_thins_each_block_once(tmp_path):
    """No request is scored twice or left out twice, and no block has two shares."""
    places, chance = places_at(tmp_path, 2 * N), random.Random(3)

    def slow(frame, params):
        time.sleep(0.0005 * len(frame))
        return double(frame, params)

    for _ in range(5):
        in_a_child(
            lambda: work(places, opaque(slow), when_behind=SAMPLE),
            kill_after_s=0.2 + chance.random() / 3,
        )
    work(places, opaque(slow), when_behind=SAMPLE)
    found, shares = told(places), learned(places).thinning
    assert sum(found.values()) == 2 * N
    rows = parts(places)
    assert rows["position"].is_unique
    assert len(rows) == found["both_ok"]
    assert rows.groupby((rows["position"] - 1) // BURST_EVERY)["share"].nunique().max() == 1
    wanted = {
        p for p in range(1, 2 * N + 1) if is_kept(shares.told(block_of(p)), position=p, unit=None)
    }
    assert set(rows["position"]) == wanted


def test_what_killed_a_lane_is_tried_again_though_it_would_be_thinned_by_then(tmp_path):
    places = places_at(tmp_path)
    deadly = next(p for p in range(N - 200, N) if not is_kept(0.5, position=p, unit=None))
    state = LaneState(places.lane(CHALLENGER.role, CHALLENGER.version).state)
    state.record_death(Death(id="1", positions=(deadly,), cause="crash", step=None, worked_ms=1.0))
    state.close()
    work(places, when_behind=SAMPLE)
    rows = parts(places).set_index("position")
    assert rows.loc[deadly, "share"] == 1.0
    assert deadly + 1 not in rows.index or rows.loc[deadly + 1, "share"] < 1


def test_a_lane_told_to_score_all_ends_what_an_earlier_process_thinned(tmp_path):
    places = places_at(tmp_path)
    work(places, when_behind=SAMPLE, upto=2_000)
    assert learned(places).thinning.now < 1
    before = told(places)
    work(places)
    assert learned(places).thinning.now == 1
    # But for the block that had begun.
    assert told(places)["sampled_out"] <= before["sampled_out"] + BURST_EVERY


def test_the_newest_is_never_passed_over(tmp_path):
    places = places_at(tmp_path)
    work(places, when_behind=SAMPLE)
    assert max(scored(places)) > N - 200


def test_how_far_behind_a_lane_is_is_the_age_of_what_it_reads(tmp_path):
    places = places_at(tmp_path, 10)
    it = made_lane(places, opaque(double))
    assert it.turn()
    assert it.parts.backlog.lag_s == pytest.approx(time.time() - 1e9, rel=0.01)
    it.parts.backlog.read(Batch(requests=[], deleted=0, cursor={}))
    assert it.parts.backlog.lag_s == 0.0
    for one in (it.parts.tail, it.parts.state, it.parts.inflight):
        one.close()


def test_a_window_that_an_earlier_release_began_is_read_with_what_it_lacks():
    one = Comparison(1, "a", 5, 1, 0, Outcome.BOTH_OK)
    old = tables.table([one]).drop_columns(["share"])
    back = tables.joined([], [tables.pack(old), tables.pack(tables.table([one]))])
    assert back["share"].to_pylist() == [1.0, 1.0]
    written = orjson.loads(windows.encode(one))
    del written["share"]
    assert tables.joined([orjson.dumps(written)], [])["share"].to_pylist() == [1.0]


def test_a_control_that_waits_for_challengers_needs_no_further_processes(tmp_path):
    places = places_at(tmp_path, 100)
    it = made_lane(places, opaque(double, number=3), name=CONTROL)
    assert it.turn()
    assert it.parts.backlog.lag_s > 0
    it.parts.limit = lambda: {0: 70}
    assert it.turn()
    assert it.parts.backlog.lag_s == 0.0
    for one in (it.parts.tail, it.parts.state, it.parts.inflight):
        one.close()
