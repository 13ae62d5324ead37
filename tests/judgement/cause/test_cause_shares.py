"""Shares by hand calculation: two linear models of one feature."""

from __future__ import annotations

import numpy as np
import pytest

from shadowserve.judgement.cause.shares import Requests, crossed

X = np.random.default_rng(2).normal(size=(400, 1))
EACH = Requests(np.arange(400))


def test_parts_that_do_not_act_on_each_other_add_up():
    # The champion says x. New features add 2, new weights add 1: 2/3 and 1/3 of a divergence of 3.
    found = crossed(X, X + 3, new_features=X + 2, new_weights=X + 1, requests=EACH)
    assert found.features.value == pytest.approx(2 / 3)
    assert found.weights.value == pytest.approx(1 / 3)
    assert found.interaction.value == pytest.approx(0)


def test_a_unit_that_the_weights_undo_is_all_interaction():
    # Features in another unit, weights by as much smaller: each alone changes everything, both nothing but a bit.
    found = crossed(X, X + 0.01, new_features=X * 10, new_weights=X / 10, requests=EACH)
    assert found.interaction.low > 10


def test_terms_that_cancel_over_rows_still_count_as_interaction():
    sign = np.where(np.arange(400) % 2, 1.0, -1.0)[:, None]
    found = crossed(X, X + 1, new_features=X + sign, new_weights=X, requests=EACH)
    assert found.interaction.value > 0.9


def test_rows_of_one_request_are_drawn_together():
    draw = np.random.default_rng(4)
    shift = np.repeat(draw.normal(size=20), 20)[:, None]
    whole = X + 1 + shift
    of = np.repeat(np.arange(20), 20)
    wide, narrow = (
        crossed(X, whole, new_features=X + 1, new_weights=X + shift, requests=one).features
        for one in (Requests(of), EACH)
    )
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
