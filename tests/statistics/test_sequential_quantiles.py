from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowserve.statistics.sequential import QuantileSequence

positive = st.lists(st.floats(1e-4, 1e8), min_size=1, max_size=50)


def sequence(q, values) -> QuantileSequence:
    made = QuantileSequence(q)
    made.add(values)
    return made


@pytest.mark.parametrize("q", [0.5, 0.99])
def test_the_interval_holds_the_quantile_at_every_look_at_once(q):
    truth = float(np.exp(0.8 * {0.5: 0.0, 0.99: 2.3263479}[q]))
    broken = 0
    for seed in range(60):
        values = np.exp(0.8 * np.random.default_rng(seed).standard_normal(10_000))
        running = QuantileSequence(q)
        wrong = False
        for look in np.array_split(values, 40):
            running.add(look)
            low, high = running.interval(0.05)
            wrong |= not low <= truth <= high
        broken += wrong
    assert broken <= 3


def test_ten_thousand_observations_give_p99_to_a_fifth():
    values = np.exp(0.5 * np.random.default_rng(0).standard_normal(10_000))
    seen = sequence(0.99, values)
    low, high = seen.interval(0.05)
    assert low < np.quantile(values, 0.99) < high
    assert high / low < 1.5
    assert seen.estimate == pytest.approx(np.quantile(values, 0.99), rel=0.03)


def test_a_p99_is_not_proven_from_thirty_observations():
    seen = sequence(0.99, np.ones(30))
    assert seen.interval(0.05)[1] == float("inf")
    assert not seen.is_below(1e6, alpha=0.05)


def test_limits_are_decided_on_both_sides():
    seen = sequence(0.5, np.linspace(9.0, 11.0, 500))
    assert seen.is_above(8.0, alpha=0.05)
    assert seen.is_below(12.0, alpha=0.05)
    assert not seen.is_above(10.0, alpha=0.05)
    assert not seen.is_below(10.0, alpha=0.05)


@given(positive, positive)
def test_merging_is_the_same_as_seeing_everything(first, second):
    merged = sequence(0.9, first)
    merged.merge(sequence(0.9, second))
    assert merged.state() == sequence(0.9, first + second).state()


@given(positive)
def test_state_survives_json(values):
    seen = sequence(0.9, [*values, float("nan")])
    back = QuantileSequence.from_state(json.loads(json.dumps(seen.state())))
    assert back.state() == seen.state()
    assert back.interval(0.05) == seen.interval(0.05)
    assert back.missing == 1


def test_memory_does_not_grow_with_observations():
    few, many = sequence(0.5, np.ones(10)), sequence(0.5, np.geomspace(1e-6, 1e9, 100_000))
    assert few.counts.nbytes == many.counts.nbytes


def test_sequences_declared_otherwise_do_not_merge():
    with pytest.raises(ValueError, match="equal"):
        QuantileSequence(0.5).merge(QuantileSequence(0.9))
    with pytest.raises(ValueError, match="0 < q < 1"):
        QuantileSequence(1.0)


def test_a_design_effect_counts_every_observation_for_less():
    many, few = sequence(0.5, np.linspace(9, 11, 400)), sequence(0.5, np.linspace(9, 11, 100))
    assert many.interval(0.05, effect=4.0) == few.interval(0.05)
    assert many.is_above(9.6, alpha=0.05)
    assert not many.is_above(9.6, alpha=0.05, effect=4.0)


def test_nothing_is_known_before_the_first_observation():
    empty = QuantileSequence(0.5)
    assert empty.interval(0.05) == (0.0, float("inf"))
    assert np.isnan(empty.estimate)
