"""What a lane remembers: bounded, read back as it was, and the same however it was cut into flushes."""

from __future__ import annotations

import numpy as np
import orjson
import pytest

from rig.deployment import CHALLENGER, made
from rig.lane import answer, records, work
from rig.scoring import double, native, opaque, pipeline
from shadowserve.comparison.failures import MAX_EXAMPLES, MAX_FAULTS, MAX_POISON, Failures, Poison
from shadowserve.comparison.learned import Learned
from shadowserve.comparison.timing import MAX_STEPS, RoleTiming, StepTiming
from shadowserve.lane import commits, run
from shadowserve.records import Comparison, Fault, Outcome
from shadowserve.state.lane_reading import snapshot


def learnt(tmp_path, scorer, n=120, **options):
    places = made(tmp_path, CHALLENGER)
    answer(places, records(n))
    work(places, scorer, **options)
    return Learned.from_state(snapshot(places.lane(CHALLENGER.role, 4).state).summaries)


def sometimes(frame, params):
    if (frame["age"] % 10 == 3).any():
        raise ValueError
    return np.where(frame["age"] % 10 == 4, np.nan, double(frame, params) + (frame["age"] > 60))


def test_everything_is_read_back_as_it_was(tmp_path):
    found = learnt(tmp_path, opaque(sometimes), rescore=True)
    again = Learned.from_state(found.state())
    assert again.state() == found.state()
    assert again.requests == 120
    assert [one.n for one in again.failures.faults] == [12]


def test_many_small_flushes_remember_what_one_large_one_does(tmp_path, monkeypatch):
    whole = learnt(tmp_path / "whole", opaque(sometimes))
    monkeypatch.setattr(commits, "COMMIT_NS", 0)
    monkeypatch.setattr(run, "READ_REQUESTS", 7)
    pieces = learnt(tmp_path / "pieces", opaque(sometimes))
    assert pieces.requests == whole.requests
    for name in ("disagreement", "intolerant", "nonfinite", "champion_nonfinite"):
        own, other = (getattr(one.outputs, name) for one in (pieces, whole))
        assert (own.n, own.mean) == (other.n, pytest.approx(other.mean))
    assert pieces.outputs.first_differing == whole.outputs.first_differing
    assert pieces.failures.state()["faults"] == whole.failures.state()["faults"]
    positions = [{row["position"] for row in one.outputs.worst.rows()} for one in (pieces, whole)]
    assert positions[0] == positions[1]


def test_an_empty_memory_is_read_back(tmp_path):
    empty = Learned({"scale": ("age",)}, {})
    assert Learned.from_state(empty.state()).state() == empty.state()


def test_memory_grows_less_and_less(tmp_path):
    """Three times the requests are far from three times the state (law 9)."""
    small, large = (
        sum(map(len, learnt(tmp_path / str(n), native(pipeline(), number=4), n).state().values()))
        for n in (300, 900)
    )
    assert large < 2 * small
    assert large < 500_000


def failed(place, fault):
    return Comparison(
        position=place, request_id="r", arrived_wall_ns=1, n_rows=1, window=0,
        outcome=Outcome.CHALLENGER_ERROR, fault=fault,
    )  # fmt: skip


def test_faults_are_counted_by_type_step_and_frame():
    failures = Failures()
    same = [Fault("ValueError", "scale", "x.py:1 f", digest) for digest in ("a", "b")]
    failures.add([failed(n, same[n % 2]) for n in range(10)])
    failures.add([failed(99, Fault("KeyError", "scale", "x.py:1 f", "a"))])
    assert [(one.n, one.fault.type) for one in failures.faults] == [(10, "ValueError"), (1, "KeyError")]  # fmt: skip
    assert failures.faults[0].examples == list(range(MAX_EXAMPLES))
    assert failures.rate.mean == 1.0


def test_the_kinds_of_faults_and_poisons_are_bounded():
    failures = Failures()
    failures.add([failed(n, Fault("E", None, f"x.py:{n} f", "a")) for n in range(3 * MAX_FAULTS)])
    for n in range(2 * MAX_POISON):
        failures.poisoned(Poison(n, "r", "crash", None, 1.0, {}))
    assert (len(failures.faults), len(failures.poison)) == (MAX_FAULTS, MAX_POISON)
    assert failures.rate.n == 3 * MAX_FAULTS
    assert Failures.from_state(orjson.loads(orjson.dumps(failures.state()))).poison[5].position == 5


def timed(place, *, lane_ms=2.0, size=10, steps=None, inclusion=1.0):
    return Comparison(
        position=place, request_id="r", arrived_wall_ns=1, n_rows=1, window=0,
        outcome=Outcome.BOTH_OK, lane_ms=lane_ms, lane_steps=steps or {"words": lane_ms},
        lane_cpu={"words": lane_ms}, sizes={"title": size, "other": 3}, inclusion=inclusion,
    )  # fmt: skip


def test_a_step_is_followed_against_its_own_columns_only():
    timing = RoleTiming({"words": ("title",)})
    timing.add([timed(n, size=n) for n in range(1, 60)], lane=True, inner={})
    assert set(timing.steps["words"].growth) == {"title"}
    assert set(timing.total.growth) == {"title", "other"}


def test_rare_timings_weigh_as_much_as_what_they_stand_for():
    timing = StepTiming()
    fast, slow = np.full(95, 1.0), np.full(5, 10.0)
    timing.add(np.concatenate([fast, slow]), np.concatenate([np.ones(95), np.full(5, 20.0)]), np.ones(100), {})  # fmt: skip
    assert timing.spent.summary()["mean"] == pytest.approx((95 + 5 * 200) / 195)
    assert timing.wall.quantile(0.5) == pytest.approx(10.0, rel=0.05)


def test_the_number_of_steps_is_bounded():
    timing = RoleTiming({})
    many = {f"step {n}": 1.0 for n in range(2 * MAX_STEPS)}
    timing.add([timed(1, steps=many)], lane=True, inner={"step 3": ("age",)})
    assert len(timing.steps) == MAX_STEPS
    assert timing.steps["step 3"].columns == ("age",)
    assert RoleTiming.from_state(timing.state()).state() == timing.state()
