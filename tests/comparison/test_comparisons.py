"""Comparisons by columns are the comparisons one by one, and what is learnt of them is the same."""

from __future__ import annotations

import dataclasses
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadowserve.comparison.bursts import burst_of, in_bursts
from shadowserve.comparison.by_name import ByName
from shadowserve.comparison.comparisons import Comparisons
from shadowserve.comparison.elapsed import RESTARTED_NS, Elapsed
from shadowserve.comparison.milestones import Milestones
from shadowserve.comparison.timing import RoleTiming
from shadowserve.lane.tables import SCHEMA, joined, pack, table
from shadowserve.lane.windows import encode
from shadowserve.records import Comparison, Fault, Outcome, position
from shadowserve.statistics.switchback import BLOCK_NS, KEPT_TIMES, CallerCost, Schedule

NAMES = ("scale", "model", "model/look up", "columns/text", "\u202e", "a" * 300)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(0, 2**53).map(float)
TIMES = st.dictionaries(st.sampled_from(NAMES), st.floats(0, 1e12), max_size=4)
ANSWERS = st.none() | st.lists(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | NUMBERS | st.text(max_size=4), max_size=3
)  # fmt: skip


@st.composite
def comparison(draw):
    outcome = draw(st.sampled_from(Outcome))
    fault = None if outcome is Outcome.BOTH_OK else draw(st.none() | st.just(Fault("E", "model", "x.py:1 f", "a")))  # fmt: skip
    return Comparison(
        position=draw(st.integers(1, 2**63 - 1)), request_id=draw(st.text(max_size=5)),
        arrived_wall_ns=draw(st.integers(0, 2**62)), n_rows=draw(st.integers(1, 9)),
        window=draw(st.integers(0, 2)), outcome=outcome, fault=fault,
        disagreement=draw(st.none() | st.floats(0, 1)), exact=draw(st.booleans()),
        tolerant=draw(st.booleans()), structure=draw(st.booleans()),
        values=draw(st.dictionaries(st.sampled_from(NAMES), NUMBERS, max_size=3)),
        champion=draw(ANSWERS), lane=draw(ANSWERS),
        champion_ms=draw(st.none() | st.floats(0, 1e9)), champion_work_ms=draw(st.none() | st.floats(0, 1e9)),
        lane_ms=draw(st.none() | st.floats(0, 1e9)), response_ms=draw(st.floats(0, 1e9)),
        champion_steps=draw(TIMES), lane_steps=draw(TIMES), lane_cpu=draw(TIMES),
        lag_ms=draw(st.floats(0, 1e9)), starved_ms=draw(st.floats(0, 1e9)), alone=draw(st.booleans()),
        warmup=draw(st.booleans()), inclusion=draw(st.floats(1e-3, 1)), share=draw(st.floats(1e-3, 1)),
        sizes=draw(st.dictionaries(st.sampled_from(NAMES), st.integers(0, 2**53), max_size=3)),
        nonfinite=draw(st.integers(0, 99)), first=draw(st.booleans()), lately=draw(st.booleans()),
        lane_scores=draw(st.dictionaries(st.sampled_from(NAMES), st.just(math.inf) | st.floats(0, 1), max_size=3)),
    )  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(st.lists(comparison(), max_size=12), st.randoms())
def test_what_lies_by_columns_is_read_back_as_it_was(given_, chance):
    told = Comparisons.of(given_)
    assert list(told) == given_
    assert told[2:7] == given_[2:7]
    some = sorted(chance.sample(range(len(given_)), len(given_) // 2))
    assert list(told.taken(np.array(some, dtype=np.int64))) == [given_[at] for at in some]
    assert told.counts() == {o: n for o in Outcome if (n := [c.outcome for c in given_].count(o))}


def in_names_order(comparisons):
    """Lay each request's numbers in one order of names: a map has none."""
    names = ("values", "champion_steps", "lane_steps", "sizes", "lane_scores")
    return [
        dataclasses.replace(one, **{n: dict(sorted(getattr(one, n).items())) for n in names})
        for one in comparisons
    ]


@settings(max_examples=25, deadline=None)
@given(st.lists(comparison(), min_size=1, max_size=12, unique_by=lambda c: c.position))
def test_the_table_of_columns_is_the_table_of_records(given_):
    own = in_names_order(given_)
    by_columns = joined([], [pack(table(own))])
    by_record = joined([encode(one) for one in own], [])
    assert by_columns.schema.equals(SCHEMA)
    for name in SCHEMA.names:
        one, other = (each[name].to_pylist() for each in (by_columns, by_record))
        if isinstance(one[0], list):
            one, other = ([sorted(map(str, row)) for row in each] for each in (one, other))
        assert one == other, name


def test_names_without_end_take_no_matrix():
    rows = [{f"{n}-{k}": float(k) for k in range(20)} for n in range(500)]
    told = ByName.of(rows)
    assert told.values.size == 0
    assert [told.row(at) for at in range(500)] == rows
    assert told.taken(np.array([3, 7])).row(1) == rows[7]
    assert np.isnan(told.column("7-3")).sum() == 499
    assert told.has("7-3").tolist() == [n == 7 for n in range(500)]


@settings(max_examples=20, deadline=None)
@given(st.lists(comparison(), min_size=1, max_size=12), st.booleans())
def test_times_by_columns_are_the_times_one_by_one(calls, lane):
    """The sums of all calls at once and of one call after the other are alike."""
    whole, single = RoleTiming(), RoleTiming()
    whole.add(Comparisons.of(calls), lane=lane, inner={})
    for call in calls:
        single.add([call], lane=lane, inner={})
    for one, other in ((whole.total, single.total), (whole.between, single.between)):
        assert one.spent.n == other.spent.n
        assert one.spent.mean == pytest.approx(other.spent.mean, rel=1e-9, abs=1e-9)
        assert one.calls.state() == other.calls.state()
    assert whole.steps.keys() == single.steps.keys()
    for name, step in whole.steps.items():
        assert step.spent.n == single.steps[name].spent.n
        assert step.cpu.n == single.steps[name].cpu.n
        own, theirs = (t.steps[name].growth for t in (whole, single))
        assert {c: g.state() for c, g in own.items()} == {c: g.state() for c, g in theirs.items()}


def journal(seed, n=700):
    """Return positions of three workers, some read before others, and when each arrived."""
    chance = random.Random(seed)
    next_of, now = [1, 1, 1], 10**9
    made = []
    for _ in range(n):
        worker = chance.choice((0, 0, 0, 1, 2))
        now += chance.choice((0, 10, 10**6, -5, 5 * 10**9))
        now = max(0, now - chance.choice((0,) * 300 + (2 * RESTARTED_NS,)))
        made.append((position(worker, next_of[worker]), now))
        next_of[worker] += chance.choice((1, 1, 1, 5))
    return made


@pytest.mark.parametrize("seed", range(8))
def test_marks_of_position_and_time_are_those_of_one_after_the_other(seed):
    from rig.journal import request

    made = journal(seed)
    places, when = (np.array(each, dtype=np.int64) for each in zip(*made, strict=True))
    requests = [request(place, arrived_ns=now) for place, now in made]
    order = np.argsort(places, kind="stable")
    stones, single, elapsed, lone = Milestones(), Milestones(), Elapsed(), Elapsed()
    cuts = sorted(random.Random(seed).sample(range(len(made)), 3))
    stones.add(places[order], when[order])
    for at in order.tolist():
        single.add([places[at]], [when[at]])
    for first, end in zip([0, *cuts], [*cuts, len(made)], strict=True):
        elapsed.add(requests[first:end])
    for one in requests:
        lone.add([one])
    assert stones.state() == single.state()
    assert elapsed.state() == lone.state()
    assert in_bursts(places).tolist() == [burst_of(place) is not None for place, _ in made]


@pytest.mark.parametrize("seed", range(4))
def test_callers_times_by_stretch_are_those_of_one_request_after_the_other(seed):
    chance = np.random.default_rng(seed)
    schedule = Schedule(BLOCK_NS, "salt")
    when = np.sort(chance.integers(0, 60 * BLOCK_NS, 20 * KEPT_TIMES))
    swapped = chance.integers(0, len(when) - 1, 500)
    when[swapped], when[swapped + 1] = when[swapped + 1], when[swapped].copy()
    ms = chance.exponential(2.0, len(when))
    whole, single = CallerCost(), CallerCost()
    for cycle, block, at in schedule.stretches(when):
        whole.add(cycle, block, ms[at])
    for now, took in zip(when.tolist(), ms.tolist(), strict=True):
        single.add(*schedule.block(now), took)
    assert whole.state() == single.state()
    assert len(single.state()["cycles"]) > 3
