"""Slow steps: each by what explains it, beside what the champion's own step does."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from judging_fixtures import known_of, policy
from scoring_fixtures import native, pipeline

from shadowserve.findings import Severity, look
from shadowserve.lane.timing import StepTiming

WORDS = "columns/words"


@pytest.fixture
def known(tmp_path):
    """Champion, control and challenger are one pipeline; tests put timings in."""
    return known_of(tmp_path, native(pipeline(), number=4), champion=native(pipeline()), n=60)


def put(learned, role, wall_ms, sizes=None):
    """Let the words' step of a lane or of the champion take these times, and the total as well."""
    timing = getattr(learned, role)
    ones, n = np.ones(len(wall_ms)), len(wall_ms)
    columns = {} if sizes is None else {"title": sizes.astype(float)}
    timing.steps.setdefault(WORDS, StepTiming(("title",))).add(wall_ms, ones, ones, columns)
    timing.total.add(wall_ms + 1.0, ones, np.ones(n), {})
    if role == "champion":
        learned.champion_work.add(wall_ms + 1.0)
    if role == "lane":
        learned.requests = n
        named = [{"request_id": "r", "step": WORDS, "step_ms": float(ms)} for ms in wall_ms]
        learned.slowest.add(wall_ms + 1.0, np.arange(1, n + 1), named)
    if sizes is not None:
        learned.sizes["title"].add(sizes)


def lengths(n=400, seed=0):
    return np.random.default_rng(seed).lognormal(4, 1, n).astype(np.int64) + 1


def grown(known, *, exponent, per_unit=1e-4, theirs=0.0):
    """Let the step's time grow with the title's length, and the control's by a share of that."""
    sizes = lengths()
    cost = per_unit * sizes.astype(float) ** exponent
    put(known.learned, "lane", 0.05 + cost, sizes)
    put(known.control, "lane", 0.05 + theirs * cost, sizes)
    return known


def slow(known):
    return [one for one in look(known, policy()) if one.kind == "slow_feature"]


def test_a_step_whose_time_grows_faster_than_its_input_is_named_with_its_column(known):
    [one] = slow(grown(known, exponent=2.0))
    assert (one.where.step, one.where.columns) == (WORDS, ("title",))
    assert one.effect.value == pytest.approx(2.0, abs=0.25)
    assert one.severity.is_alarm


def test_a_step_whose_time_grows_by_little_as_its_input_does_is_no_finding(known):
    assert slow(grown(known, exponent=1.0)) == []


def test_a_cold_cache_that_lives_on_in_rare_sizes_is_no_growth(known):
    """Long titles are one in ten: their latest 48 timings reach back into the slow beginning."""
    n = 200
    sizes = np.where(np.arange(n) % 10 == 0, 12, 5)
    cold = np.arange(n) < 80
    put(known.learned, "lane", np.where(cold, 25.0, 0.2), sizes)
    put(known.control, "lane", np.full(n, 0.2), sizes)
    assert slow(known) == []


def test_a_step_that_is_slow_in_proportion_to_its_input_is_named_where_the_champions_is_not(known):
    [one] = slow(grown(known, exponent=1.0, per_unit=0.05))
    assert (one.where.step, one.where.columns) == (WORDS, ("title",))
    assert one.effect.value == pytest.approx(1.0, abs=0.25)
    assert one.severity.is_alarm


def test_what_the_champions_step_does_as_well_is_no_alarm(known):
    assert slow(grown(known, exponent=1.0, per_unit=0.05, theirs=1.0)) == []


def test_a_champion_that_is_as_bad_makes_steep_growth_a_note_that_says_so(known):
    [one] = slow(grown(known, exponent=2.0, per_unit=1e-3, theirs=1.0))
    assert one.severity is Severity.NOTE
    assert "the control's step does the same" in one.message.lower()


@pytest.mark.parametrize("share", [0.02, 0.05, 0.3])
def test_a_step_that_is_slow_now_and_then_is_named(known, share):
    n = 3_000
    chance = np.random.default_rng(1)
    often = chance.random(n) < share
    put(known.learned, "lane", np.where(often, 40.0, 0.2) * chance.lognormal(0, 0.05, n))
    put(known.learned, "champion", np.full(n, 0.2))
    [one] = slow(known)
    assert (one.where.step, one.effect.measure) == (WORDS, "share_slow")
    assert one.effect.value == pytest.approx(share, rel=0.3)
    assert one.effect.baseline == pytest.approx(0.0, abs=0.002)
    assert "now and then" in one.message


def test_a_step_that_costs_more_on_every_call_is_named_with_its_fixed_cost(known):
    chance = np.random.default_rng(4)
    put(known.learned, "lane", 30.0 * chance.lognormal(0, 0.02, 150))
    put(known.learned, "champion", np.full(150, 0.2))
    known = dataclasses.replace(known, control=None)
    [one] = slow(known)
    assert (one.where.step, one.effect.measure) == (WORDS, "median")
    assert one.effect.value == pytest.approx(30.0, rel=0.02)
    assert one.effect.baseline == pytest.approx(0.2)


def test_a_cold_cache_that_was_most_of_the_traffic_so_far_is_no_finding(known):
    put(known.learned, "lane", np.where(np.arange(100) < 80, 25.0, 0.2))
    put(known.learned, "champion", np.full(100, 0.2))
    assert slow(dataclasses.replace(known, control=None)) == []


def test_a_cold_cache_is_slow_in_one_stretch_only_and_no_finding(known):
    n = 2_000
    put(known.learned, "lane", np.where(np.arange(n) < 50, 60.0, 0.2))
    put(known.learned, "champion", np.full(n, 0.2))
    assert slow(known) == []


def test_a_few_hiccups_that_the_champion_has_too_are_no_finding(known):
    n = 3_000
    chance = np.random.default_rng(2)
    for learned, role in ((known.learned, "lane"), (known.learned, "champion")):
        put(learned, role, np.where(chance.random(n) < 0.01, 40.0, 0.2))
    assert slow(known) == []


def test_a_step_of_the_usual_speed_is_no_finding(known):
    chance = np.random.default_rng(3)
    for learned, role in (
        (known.learned, "lane"),
        (known.control, "lane"),
        (known.learned, "champion"),
    ):
        put(learned, role, chance.lognormal(0.0, 0.5, 3_000))
    assert slow(known) == []
