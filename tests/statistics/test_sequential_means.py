from __future__ import annotations

import json
from math import comb, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowserve.statistics.sequential import (
    MeanSequence,
    difference,
    log_e_difference,
    paired_mean,
)

unit_values = st.lists(st.floats(0, 1), min_size=1, max_size=60)


def sequence(values, low=0.0, high=1.0) -> MeanSequence:
    made = MeanSequence(low, high)
    made.add(np.asarray(values, dtype=float))
    return made


def share_ever(limit_holds, *, n_runs, draw, look_at, alpha) -> float:
    """Share of runs in which a look, at any time, breaks the guarantee."""
    broken = 0
    for seed in range(n_runs):
        values = draw(np.random.default_rng(seed))
        running, at = MeanSequence(), 0
        for look in look_at:
            running.add(values[at:look])
            at = look
            if not limit_holds(running, alpha):
                broken += 1
                break
    return broken / n_runs


@pytest.mark.parametrize("rate", [0.002, 0.05, 0.5])
def test_the_interval_holds_the_rate_at_every_look_at_once(rate):
    def holds(running, alpha):
        return not (
            running.is_above(rate, alpha=alpha / 2) or running.is_below(rate, alpha=alpha / 2)
        )

    looks = np.unique(np.geomspace(10, 20_000, 60).astype(int))
    broken = share_ever(
        holds, n_runs=60, draw=lambda rng: rng.random(20_000) < rate, look_at=looks, alpha=0.05
    )
    assert broken <= 0.05


@pytest.mark.parametrize(
    ("rate", "n_rows"), [(0.05, 1_000), (0.05, 50_000), (0.3, 1_000), (0.3, 50_000)]
)
def test_peeking_costs_less_than_twice_the_width_of_a_single_look(rate, n_rows):
    values = np.repeat([0.0, 1.0], [round(n_rows * (1 - rate)), round(n_rows * rate)])
    low, high = sequence(values).interval(0.05)
    assert (high - low) / 2 < 1.9 * 1.96 * np.sqrt(rate * (1 - rate) / n_rows)


@pytest.mark.parametrize("alpha", [0.2, 0.05, 0.001])
def test_the_interval_ends_where_a_limit_is_just_proven(alpha):
    seen = sequence(np.random.default_rng(0).beta(1, 9, 400))
    low, high = seen.interval(alpha)
    assert seen.is_above(low - 1e-6, alpha=alpha / 2)
    assert not seen.is_above(low + 1e-6, alpha=alpha / 2)
    assert seen.is_below(high + 1e-6, alpha=alpha / 2)
    assert not seen.is_below(high - 1e-6, alpha=alpha / 2)


def test_a_thousand_agreements_prove_a_rate_below_one_per_cent():
    agreed = sequence(np.zeros(1_000))
    assert agreed.is_below(0.01, alpha=0.05)
    assert agreed.interval(0.05)[0] == 0.0


@given(unit_values)
def test_the_interval_contains_the_mean_and_shrinks_with_alpha(values):
    seen = sequence(values)
    low, high = seen.interval(0.05)
    wide_low, wide_high = seen.interval(0.001)
    assert 0 <= wide_low <= low <= seen.mean + 1e-9
    assert seen.mean - 1e-9 <= high <= wide_high <= 1
    assert seen.mean == pytest.approx(np.mean(values))


@given(unit_values, st.floats(0.05, 0.95))
def test_evidence_is_never_more_than_the_best_bet_in_hindsight(values, limit):
    """The mixture is an average over bets, so no knot or rounding may push it above the best one."""
    bets = np.linspace(0, 1, 2_001)[:-1]
    values = np.asarray(values)
    best = np.log1p(np.outer(bets, values / limit - 1)).sum(axis=1).max()
    assert sequence(values).log_e_above(limit) <= best + 1e-6


@pytest.mark.parametrize(("n", "limit"), [(5, 0.3), (12, 0.5)])
def test_expected_evidence_under_the_null_is_one(n, limit):
    """Summed over all outcomes of n coin tosses: the law that makes Ville's inequality apply."""
    expected = sum(
        comb(n, k)
        * limit**k
        * (1 - limit) ** (n - k)
        * np.exp(sequence([1.0] * k + [0.0] * (n - k)).log_e_above(limit))
        for k in range(n + 1)
    )
    assert expected == pytest.approx(1.0)


def test_needed_is_about_right_when_more_of_the_same_arrives():
    lot = np.repeat([0.0, 1.0], [45, 5])
    seen = sequence(np.tile(lot, 10))
    more = seen.needed(0.13, alpha=0.05)
    assert more is not None
    assert 0 < more < 5_000
    lots = more // lot.size
    seen.add(np.tile(lot, lots - 1))
    assert not seen.is_below(0.13, alpha=0.05)
    seen.add(np.tile(lot, 3))
    assert seen.is_below(0.13, alpha=0.05)
    assert seen.needed(0.13, alpha=0.05) == 0


def test_needed_says_nothing_without_observations_or_at_the_limit_itself():
    assert MeanSequence().needed(0.1, alpha=0.05) is None
    assert sequence([0.0, 1.0] * 50).needed(0.5, alpha=0.05) is None


@given(unit_values)
def test_state_survives_json_bit_by_bit(values):
    seen = sequence([*values, float("nan"), 7.0])
    back = MeanSequence.from_state(json.loads(json.dumps(seen.state())))
    assert back.state() == seen.state()
    assert back.interval(0.05) == seen.interval(0.05)


def test_values_beyond_the_declared_range_are_clipped_and_nan_is_left_out():
    seen = sequence([-9.0, 9.0, float("nan")], -1.0, 1.0)
    assert (seen.n, seen.clipped, seen.missing, seen.mean) == (2, 2, 1, 0.0)


def test_nothing_is_known_before_the_first_observation():
    assert MeanSequence(-2, 3).interval(0.05) == (-2, 3)


def test_a_range_has_two_ends():
    with pytest.raises(ValueError, match="low < high"):
        MeanSequence(1, 1)


def test_pairing_with_the_control_proves_what_two_separate_rates_cannot():
    """Both disagree on the same 20 % of requests; the challenger on another 1 %."""
    shared = np.zeros(4_000)
    shared[::5] = 1
    extra = shared.copy()
    extra[1::100] = 1
    paired = paired_mean(1.0)
    paired.add(extra - shared)
    assert paired.is_above(0.0, alpha=0.05)
    assert difference(sequence(extra), sequence(shared), alpha=0.05)[0] < 0


def test_a_higher_rate_in_other_requests_is_proven_and_bracketed():
    rng = np.random.default_rng(1)
    challenger, control = sequence(rng.random(3_000) < 0.12), sequence(rng.random(3_000) < 0.05)
    low, high = difference(challenger, control, alpha=0.05)
    assert 0.02 < low < 0.07 < high < 0.13
    assert log_e_difference(challenger, control) > log(20)
    assert log_e_difference(control, challenger) < log(20)


def test_two_exchangeable_streams_are_not_told_apart():
    proven = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        a, b = MeanSequence(), MeanSequence()
        for _ in range(10):
            a.add(rng.random(200) < 0.05)
            b.add(rng.random(100) < 0.05)
            proven += log_e_difference(a, b) > log(20)
    assert proven == 0


def test_difference_knows_nothing_before_both_have_seen_something():
    assert difference(sequence([1.0]), MeanSequence(), alpha=0.05) == (-1.0, 1.0)


def test_the_ends_count_what_only_one_of_two_met():
    more = paired_mean(1.0)
    more.add(np.repeat([-1.0, 0.0, 1.0], [3, 50, 7]))
    assert more.ends == (3.0, 7.0)
