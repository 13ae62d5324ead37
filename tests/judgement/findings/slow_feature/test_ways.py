"""A step that is slow on every call, now and then or for a value is named; the usual is not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from rig.judging import policy
from rig.slow_steps import (
    WORDS,
    policy_showing_all,
    priced,
    put,
    put_whole,
    slow,
    untimed_champion,
)
from shadowserve.comparison.timing import StepTiming
from shadowserve.judgement.findings import look


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


def test_no_step_is_slower_than_the_whole_is(known):
    """Where the challenger does elsewhere what the champion does here, nothing got slower."""
    put(known.learned, "lane", np.full(150, 30.0))
    known.learned.lane.total = StepTiming()
    known.control.lane.total = StepTiming()
    for learned in (known.learned, known.control):
        put_whole(learned, np.full(150, 31.0))
    known.learned.champion_work.add(np.full(150, 31.0))
    assert slow(known) == []


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
