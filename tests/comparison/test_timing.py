"""Steps, what lies between them, and the whole: they add up."""

from __future__ import annotations

import json

import pytest

from shadowserve.comparison.timing import RoleTiming
from shadowserve.records import Comparison, Outcome


def call(position, *, ms, steps):
    return Comparison(
        position=position, request_id="r", arrived_wall_ns=0, n_rows=1, window=0,
        outcome=Outcome.BOTH_OK, lane_ms=ms, lane_steps=steps,
    )  # fmt: skip


def test_what_lies_between_steps_explains_the_rest_of_the_whole():
    timing = RoleTiming({"words": ("title",), "model": ()})
    steps = {"words": 2.0, "words/look_up": 1.5, "model": 3.0}
    timing.add([call(n, ms=7.0, steps=steps) for n in range(5)], lane=True, inner={})
    assert timing.between.spent.summary()["mean"] == pytest.approx(2.0)
    assert timing.total.spent.summary()["mean"] == pytest.approx(7.0)


def test_a_call_without_steps_has_nothing_between_them():
    timing = RoleTiming({})
    timing.add([call(1, ms=7.0, steps={})], lane=True, inner={})
    assert timing.between.spent.n == 0


def test_the_state_of_the_version_before_is_read():
    timing = RoleTiming({"model": ()})
    timing.add([call(1, ms=7.0, steps={"model": 3.0})], lane=True, inner={})
    state = json.loads(json.dumps(timing.state()))
    assert RoleTiming.from_state(state).state() == timing.state()
    del state["between"]
    assert RoleTiming.from_state(state).between.spent.n == 0
