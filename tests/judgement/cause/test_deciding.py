"""Pairs whose cause is known are told apart, and of those that would fool whoever looks nothing is claimed."""

from __future__ import annotations

import numpy as np
import pytest

from rig import caused
from rig.caused import Pair, pair
from shadowserve.judgement.cause.cause import MOST_INTERACTION, Cause, Kind
from shadowserve.judgement.cause.deciding import decide
from shadowserve.scorer.apart import Apart

SEEDS = (3, 7)
"""The first for every pair, all for those that must be told apart; `benchmarks.causes` plays ten."""
CASES = [
    (name, seed)
    for name in caused.MAKERS
    for seed in (SEEDS if name in (*caused.PLANTED, *caused.NOTHING) else SEEDS[:1])
]


def cause_of(planted: Pair) -> Cause:
    sides = (Apart(one, planted.rows) for one in (planted.champion, planted.challenger))
    return decide(*sides, names=("v3", "v4"), of_request=np.arange(planted.rows.n_rows))


def wanted(planted: Pair) -> str:
    return "unknown" if planted.kind in (None, "whole") else planted.kind


@pytest.mark.parametrize(("name", "seed"), CASES)
def test_each_pair_is_told_for_what_it_is(name, seed):
    planted = pair(name, seed)
    found = cause_of(planted)
    assert found.kind == wanted(planted), found.says
    if planted.step is not None:
        assert [one.step for one in found.carriers] == [planted.step]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("imputation", "filled with 0 by v4, with the median by v3 (they differ only where"),
        ("unit", "a unit: v4 gives 1000 times what v3 gives"),
        ("zone", "a clock's zone: v4's hours are 2 later, around the clock"),
        ("whole", "v4 cannot be taken apart: it is called as a whole"),
        ("nested", "holds steps of its own (ColumnTransformer)"),
        ("bare", "alpha 500 instead of 1.0"),
        ("misread", "stand in another order"),
        ("learnt with", "do not act apart"),
        ("svd", "no counterpart is proven by values"),
        ("rare", "on other rows they may differ"),
    ],
)
def test_what_is_another_is_named_as_what_it_is(name, words):
    assert words in cause_of(pair(name, SEEDS[0])).says


def test_a_proof_by_fitted_state_is_told_from_what_was_seen_on_rows():
    assert cause_of(pair("weights", 1)).proven
    assert cause_of(pair("imputation", 1)).proven
    assert not cause_of(pair("renamed", 1)).proven
    assert not cause_of(pair("both", 1)).proven


def test_shares_of_both_add_up_and_have_intervals():
    found = cause_of(pair("both", 1))
    assert found.features is not None
    assert found.weights is not None
    assert found.interaction is not None
    assert found.features.value + found.weights.value == pytest.approx(1)
    for one in (found.features, found.weights):
        assert one.low < one.value < one.high
    assert found.interaction.high <= MOST_INTERACTION


def test_correlated_columns_that_both_changed_each_carry_their_own_part():
    carried = {one.step: one.share.value for one in cause_of(pair("correlated", 1)).carriers}
    assert set(carried) == {"features/income", "features/distance"}
    assert sum(carried.values()) == pytest.approx(1)


def test_a_version_that_differs_from_itself_is_not_explained():
    planted = pair("weights", 1)
    draw = np.random.default_rng(1)

    class Noisy(Apart):
        def answers(self, given, *, scores=False):
            return super().answers(given, scores=scores) + draw.normal(0, 5, self._rows.n_rows)

    sides = Apart(planted.champion, planted.rows), Noisy(planted.challenger, planted.rows)
    found = decide(*sides, names=("v3", "v4"), of_request=np.arange(planted.rows.n_rows))
    assert found.kind is Kind.UNKNOWN
    assert "when asked again" in found.says


def test_few_rows_that_differ_show_no_share():
    planted = pair("both", 1, n=8)
    found = cause_of(planted)
    assert found.kind is Kind.UNKNOWN
