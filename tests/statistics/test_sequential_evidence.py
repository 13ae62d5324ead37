from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from shadowserve.statistics.sequential import likelihood_ratio, rate_evidence, two_rates
from shadowserve.statistics.sequential.evidence import KNOTS, log_above, log_below, spread


@pytest.mark.parametrize("rate", [0.02, 0.3, 0.9])
def test_expected_evidence_against_the_true_rate_is_one(rate):
    total = np.arange(41)
    evidence = np.exp(rate_evidence(40, total, rate))
    assert binom.pmf(total, 40, rate) @ evidence == pytest.approx(1.0)


@pytest.mark.parametrize("rate", [0.02, 0.3, 0.9])
def test_expected_evidence_against_one_common_rate_is_at_most_one(rate):
    a, b = np.arange(16)[:, None], np.arange(61)[None, :]
    chance = binom.pmf(a, 15, rate) * binom.pmf(b, 60, rate)
    expected = (chance * np.exp(two_rates(15, a, 60, b))).sum()
    assert 0.01 < expected <= 1.0


@given(st.integers(1, 200), st.integers(1, 200), st.floats(0, 1), st.floats(0, 1))
def test_the_order_of_the_groups_does_not_matter(n_a, n_b, share_a, share_b):
    one = two_rates(n_a, share_a * n_a, n_b, share_b * n_b)
    assert one == pytest.approx(two_rates(n_b, share_b * n_b, n_a, share_a * n_a))


@given(st.integers(0, 200), st.integers(0, 200), st.floats(0, 1), st.floats(0, 1))
def test_evidence_is_never_above_the_likelihood_ratio(n_a, n_b, share_a, share_b):
    """What the slice search leaves out by the ratio, evidence would have left out too."""
    counted = [np.array([x], dtype=float) for x in (n_a, share_a * n_a, n_b, share_b * n_b)]
    assert two_rates(*counted)[0] <= likelihood_ratio(*counted)[0] + 1e-9


def test_two_rates_worked_by_hand():
    """One of one against none of one: mixtures 1/2 each, best common likelihood 1/4."""
    assert np.exp(two_rates(1, 1, 1, 0)) == pytest.approx(1.0)
    assert np.exp(two_rates(2, 2, 2, 0)) == pytest.approx((3 / 8) ** 2 / (1 / 16))


@given(st.lists(st.floats(0, 1), max_size=50))
def test_spreading_keeps_the_number_and_the_sum(values):
    counts = spread(np.array(values))
    assert counts.sum() == pytest.approx(len(values))
    assert counts @ KNOTS == pytest.approx(sum(values))
    assert (counts >= 0).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50), st.floats(0.01, 0.99))
def test_looking_up_and_looking_down_are_mirror_images(values, limit):
    seen = np.array(values)
    up, down = log_above(spread(seen), limit), log_below(spread(1 - seen), 1 - limit)
    assert up == pytest.approx(down, rel=1e-6, abs=1e-6)


def test_limits_at_the_ends_of_the_range():
    counts = spread(np.array([0.0, 0.5]))
    assert log_above(counts, 0.0) == np.inf
    assert log_above(counts, 1.0) == -np.inf
    assert log_above(spread(np.zeros(9)), 0.0) == 0.0
