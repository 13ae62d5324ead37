"""The public kit: each model misbehaves as it says and in no other way."""

from __future__ import annotations

import pickle
import time

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from rig.scoring import native
from shadowserve import testing
from shadowserve.schema.schema import Schema
from shadowserve.scorer import featurization
from shadowserve.scorer.featurization.identity import Agreement, check_identity
from shadowserve.steps import listen, step

FRAME = pd.DataFrame({"a": [1.0, 2.0, 5.0], "b": [20.0, 1.0, 3.0]})
TARGET = FRAME["a"] * 2 + FRAME["b"]
STEPS = [
    testing.Slow(ms=0.1),
    testing.Broken(one_in=7),
    testing.Leaking(n_bytes=10),
    testing.Hanging(after=1000),
]


def rows():
    return Schema.from_names(["a", "b"]).type_records(FRAME.to_dict("records"))


@pytest.mark.parametrize("part", STEPS, ids=lambda part: type(part).__name__)
def test_a_step_changes_no_answer_and_is_an_estimator_like_any_other(part):
    plain = make_pipeline(StandardScaler(), LinearRegression()).fit(FRAME, TARGET)
    model = make_pipeline(clone(part), StandardScaler(), LinearRegression()).fit(FRAME, TARGET)
    assert model.predict(FRAME).tolist() == plain.predict(FRAME).tolist()
    again = pickle.loads(pickle.dumps(model))
    assert again.predict(FRAME).tolist() == plain.predict(FRAME).tolist()
    assert clone(part).get_params() == part.get_params()
    assert model[:1].get_feature_names_out().tolist() == ["a", "b"]
    assert check_identity(native(model).plan, rows()).agreement is Agreement.IDENTICAL


def test_a_constant_answers_every_row_alike():
    model = testing.Constant(3).fit(FRAME, TARGET)
    told = model.predict(FRAME)
    assert (told.tolist(), told.dtype) == ([3.0] * 3, np.float64)
    assert native(model).score(rows()).output.tolist() == [3.0] * 3
    assert clone(model).get_params() == {"value": 3}


def test_a_slow_step_is_timed_exactly_by_a_scripted_clock_and_named():
    parts = [("slow", testing.Slow(ms=30, ms_per_row=1), ["a"]), ("fast", StandardScaler(), ["b"])]
    model = Pipeline([("columns", ColumnTransformer(parts)), ("line", LinearRegression())])
    scorer = native(model.fit(FRAME, TARGET))
    began = time.monotonic()
    with testing.ScriptedClock():
        scored = scorer.score(rows())
    assert time.monotonic() - began < 30  # and not what many such calls would take
    took = {name: ns for (name, _), ns in zip(scorer.step_names, scored.wall_ns, strict=True)}
    (slow,) = [ns for name, ns in took.items() if "slow" in name]
    assert slow == 33_000_000
    assert sum(took.values()) == slow
    assert scored.featurization_ns == slow


def test_without_a_scripted_clock_time_really_passes():
    slow = testing.Slow(ms=20).fit(FRAME)
    began = time.monotonic()
    slow.transform(FRAME)
    assert time.monotonic() - began >= 0.02


def test_the_clocks_are_put_back_also_after_an_error():
    before = (featurization.plan.perf_counter_ns, featurization.plan.thread_time_ns)
    with pytest.raises(KeyError), testing.ScriptedClock():
        raise KeyError
    assert (featurization.plan.perf_counter_ns, featurization.plan.thread_time_ns) == before
    with listen() as heard, step("x"):
        time.sleep(0.002)
    assert heard.steps()[0].wall_ns >= 2_000_000


def test_a_scripted_clock_never_goes_back():
    clock = testing.ScriptedClock(5)
    clock.advance(ms=0.5)
    assert clock.now_ns == 500_005
    with pytest.raises(ValueError, match="monotonic"):
        clock.advance(ms=-1)


def test_a_broken_step_raises_exactly_at_every_so_many_calls():
    broken = testing.Broken(one_in=5).fit(FRAME)
    failed = []
    for call in range(1, testing.GRACE + 21):
        try:
            broken.transform(FRAME)
        except RuntimeError:
            failed.append(call - testing.GRACE)
    assert failed == [5, 10, 15, 20]


def test_a_leaking_step_keeps_what_it_says():
    leaking = testing.Leaking(n_bytes=1000).fit(FRAME)
    for _ in range(4):
        leaking.transform(FRAME)
    assert [len(kept) for kept in leaking.kept_] == [1000] * 4
