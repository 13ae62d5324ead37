"""Slow steps: each by what explains it, beside what the champion's own step does."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from rig.journal import request
from rig.judging import known_of, policy
from rig.scoring import native, pipeline
from shadowserve.comparison.comparing import Scoring
from shadowserve.comparison.dear import Dear
from shadowserve.comparison.timing import RoleTiming, StepTiming
from shadowserve.comparison.ways import ways_of
from shadowserve.judgement.findings import Severity, look
from shadowserve.judgement.findings.slow_feature.yardstick import ways_apart, yardstick
from shadowserve.records import Comparison, Observation, Outcome
from shadowserve.schema.disclosure import Disclosure
from shadowserve.schema.rows import Rows
from shadowserve.statistics.tally import Quantiles

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


def untimed_champion(known, work_ms):
    """The champion's first requests come together and share calls, and the control has scored none."""
    known.learned.champion = RoleTiming({})
    known.learned.champion_work = Quantiles(tail=True)
    known.learned.champion_work.add(np.asarray(work_ms, dtype=np.float64))
    return dataclasses.replace(known, control=None)


def test_nothing_is_slow_before_it_is_known_how_long_the_champion_takes(known):
    put(known.learned, "lane", 30.0 * np.random.default_rng(4).lognormal(0, 0.02, 150))
    known = untimed_champion(known, np.full(29, 1.2))
    assert slow(known) == []
    put(known.learned, "champion", np.full(1, 0.2))
    assert len(slow(known)) == 1


@pytest.mark.parametrize(("shared_ms", "told"), [(1.2, 1), (12.0, 1), (21.0, 0), (40.0, 0)])
def test_a_champion_that_only_shared_calls_took_no_longer_than_they_did(known, shared_ms, told):
    """A step of 30 ms is slow beside calls of 12 ms; of a call of 40 ms any part may be one request's."""
    put(known.learned, "lane", 30.0 * np.random.default_rng(4).lognormal(0, 0.02, 150))
    found = slow(untimed_champion(known, np.full(60, shared_ms)))
    assert [one.effect.measure for one in found] == ["median"] * told


def test_growth_waits_until_the_champion_was_timed(known):
    known = grown(known, exponent=1.0, per_unit=0.05)
    assert "exponent" not in [
        one.effect.measure for one in slow(untimed_champion(known, np.full(60, 0.2)))
    ]


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


@pytest.mark.parametrize("cold", [105, 130, 160])
def test_a_cold_cache_that_reached_over_three_stretches_is_over(known, cold):
    """A lane that caught up scored its first requests in batches: eighty calls were more requests."""
    put(known.learned, "lane", np.where(np.arange(200) < cold, 25.0, 0.2))
    put(known.learned, "champion", np.full(200, 0.2))
    assert slow(dataclasses.replace(known, control=None)) == []


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


def put_whole(learned, wall_ms):
    """Let the whole of a lane take these times."""
    ones = np.ones(len(wall_ms))
    learned.lane.total.add(wall_ms, ones, ones, {})


def test_a_step_of_another_class_is_compared_with_all_that_lies_at_its_place(known):
    """A classifier of the same columns, or the same name, is not the same work."""
    put(known.learned, "lane", np.full(150, 30.0))
    known.learned.made_of = {WORDS: "theirs.Embedding"}
    known.control.made_of = {WORDS: "sklearn.feature_extraction.text.CountVectorizer"}
    for name in ("columns/scale", WORDS, "model"):
        known.control.lane.steps[name] = StepTiming(("title",))
        ones = np.ones(150)
        known.control.lane.steps[name].add(np.full(150, 5.0), ones, ones, {})
    found = yardstick(known, known.learned, WORDS)
    assert (found.kind, len(found.steps)) == ("parts", 2)
    assert found.median_ms == pytest.approx(10.0, rel=0.05)
    known.control.made_of = dict(known.learned.made_of)
    assert yardstick(known, known.learned, WORDS).kind == "same"


def test_a_container_that_cannot_be_looked_into_is_compared_with_the_parts_it_stands_for(known):
    """It takes as long as the champion's parts together, and the whole is as fast: no finding."""
    for learned in (known.learned, known.control):
        learned.lane = RoleTiming({})
        put_whole(learned, np.full(150, 41.0))
    ones = np.ones(150)
    known.learned.lane.steps["columns"] = StepTiming(("age", "title"))
    known.learned.lane.steps["columns"].add(np.full(150, 40.0), ones, ones, {})
    for name, ms in (("columns/scale", 20.0), (WORDS, 20.0), ("model", 1.0)):
        columns = ("age", "title") if name == "model" else ("title",)
        known.control.lane.steps[name] = StepTiming(columns)
        known.control.lane.steps[name].add(np.full(150, ms), ones, ones, {})
    found = yardstick(known, known.learned, "columns")
    assert (found.kind, found.median_ms) == ("parts", pytest.approx(40.0, rel=0.05))
    assert slow(known) == []


def test_no_step_is_slower_than_the_whole_is(known):
    """Where the challenger does elsewhere what the champion does here, nothing got slower."""
    put(known.learned, "lane", np.full(150, 30.0))
    known.learned.lane.total = StepTiming()
    known.control.lane.total = StepTiming()
    for learned in (known.learned, known.control):
        put_whole(learned, np.full(150, 31.0))
    known.learned.champion_work.add(np.full(150, 31.0))
    assert slow(known) == []


def test_parameters_that_only_change_how_a_version_runs_are_named_as_the_cause(known):
    known.learned.ways = {"columns__n_jobs": "2"}
    assert "columns__n_jobs (2, the champion's not set)" in ways_apart(known)
    known.control.ways = {"columns__n_jobs": "2"}
    assert ways_apart(known) == ""


def test_ways_tell_no_values_that_may_be_secret():
    model = Pipeline([("scale", StandardScaler())], memory="some/cache", verbose=True)
    assert ways_of(model) == {"memory": "set", "verbose": "True"}
    assert ways_of(object()) == {}


def priced(known, cost, *, champion=None, n=600):
    """Let the words' step take what a city costs it, beside what the champion took."""
    chance = np.random.default_rng(5)
    cities = chance.choice(["Oslo", "Rome", "Lima", "Llanfairpwllgwyngyll"], n, p=[0.1, 0.4, 0.3, 0.2])  # fmt: skip
    scorings, told = [], []
    for n_th, city in enumerate(cities, 1):
        rows = Rows({"city": np.array([city], dtype=object)}, 1)
        own = 0.5 + cost.get(city, 0.0)
        theirs = 0.5 + (champion or {}).get(city, 0.0)
        scorings.append(
            Scoring(request(n_th), Observation(), rows, {}, alone=True, warmup=False, inclusion=1.0)
        )
        told.append(
            Comparison(
                position=n_th, request_id="r", arrived_wall_ns=0, n_rows=1, window=0,
                outcome=Outcome.BOTH_OK, lane_ms=own + 0.5, lane_steps={WORDS: own, "model": 0.5},
                champion_work_ms=theirs + 0.5,
            )
        )  # fmt: skip
    for at in range(0, n, 50):
        part = slice(at, at + 50)
        known.learned.dear.add(scorings[part], told[part], disclosure=Disclosure(log="all"))
    walls = np.asarray([one.lane_steps[WORDS] for one in told])
    known.learned.lane, known.control.lane = RoleTiming({}), RoleTiming({})
    put(known.learned, "lane", walls)
    put(known.learned, "champion", np.asarray([one.champion_work_ms for one in told]))
    return known


def test_a_step_that_is_slow_for_one_value_is_named_with_column_and_value(known):
    [one] = [
        found
        for found in look(priced(known, {"Oslo": 30.0}), policy_showing_all())
        if found.kind == "slow_feature"
    ]
    assert (one.where.step, one.where.columns, one.where.slice) == (
        WORDS,
        ("city",),
        "city is Oslo",
    )
    assert one.severity.is_alarm
    assert one.effect.value > 0.9
    assert one.effect.baseline < 0.1


def test_a_value_that_may_not_be_shown_is_told_by_its_label(known):
    [one] = [
        found
        for found in look(priced(known, {"Oslo": 30.0}), policy())
        if found.kind == "slow_feature"
    ]
    assert one.where.columns == ("city",)
    assert "Oslo" not in one.message


@pytest.mark.parametrize(
    ("own", "theirs"),
    [
        ({}, {}),  # one value is merely longer than the others
        ({"Oslo": 30.0}, {"Oslo": 30.0}),  # it is slow for both
        ({"Llanfairpwllgwyngyll": 0.4}, {}),
    ],
)
def test_a_value_that_is_long_or_slow_for_both_is_not_named(known, own, theirs):
    known = priced(known, own, champion=theirs)
    assert known.learned.dear.slices is None  # nothing was dear, and nothing is searched for
    assert [one for one in slow(known) if one.where.slice] == []


def policy_showing_all():
    return dataclasses.replace(policy(), log_inputs="all")


def test_what_is_dear_survives_its_state(known):
    dear = priced(known, {"Oslo": 30.0}).learned.dear
    back = Dear.from_state(json.loads(json.dumps(dear.state())))
    assert back.state() == dear.state()
    assert back.steps == {WORDS: dear.steps[WORDS]}
