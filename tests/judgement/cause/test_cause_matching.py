"""Columns are matched by their values, and by nothing else."""

from __future__ import annotations

import numpy as np

from shadowserve.judgement.cause.matching import matched

DRAW = np.random.default_rng(5)
OWN = DRAW.normal(size=(200, 4))


def test_columns_in_another_order_are_the_same():
    found = matched(OWN, OWN[:, ::-1])
    assert found.is_same
    assert found.pairs == ((0, 3), (1, 2), (2, 1), (3, 0))


def test_what_sums_in_another_order_is_the_same():
    assert matched(OWN, OWN * (1 + 1e-14)).is_same


def test_a_column_changed_on_some_rows_is_the_same_one_changed():
    other = OWN.copy()
    other[:40, 2] = 0.0
    found = matched(OWN, other)
    assert found.changed == ((2, 2),)
    assert not found.champion
    assert not found.challenger


def test_another_scale_another_sign_and_other_values_have_no_counterpart():
    for other in (OWN * 1.5, -OWN, OWN + 3, DRAW.normal(size=OWN.shape)):
        found = matched(OWN, other)
        assert found.champion == found.challenger == (0, 1, 2, 3)


def test_a_column_that_is_0_on_every_row_says_nothing_and_one_that_is_5_does():
    empty, full = (np.column_stack([OWN, np.full(200, value)]) for value in (0.0, 5.0))
    assert matched(OWN, empty).is_same
    assert matched(OWN, full).challenger == (4,)


def test_rare_ones_that_agree_on_zeros_alone_are_not_the_same():
    one, other = np.zeros((2, 200, 1))
    one[:20], other[100:120] = 1.0, 1.0
    assert matched(one, other).champion == (0,)


def test_codes_that_changed_places_have_no_counterpart_though_most_rows_agree():
    codes = DRAW.integers(0, 6, (200, 1)).astype(float)
    places = np.array([0.0, 1, 2, 3, 5, 4])
    assert matched(codes, places[codes.astype(int)]).champion == (0,)
    later = np.array([0.0, 1, 2, 3, 5, 6])  # a new category stands before two known ones
    assert matched(codes, later[codes.astype(int)]).champion == (0,)


def test_one_value_filled_in_for_missing_ones_is_no_code():
    own = DRAW.integers(1, 6, (200, 1)).astype(float)
    other = own.copy()
    own[:30], other[:30] = 2.5, 0.0
    assert matched(own, other).changed == ((0, 0),)
