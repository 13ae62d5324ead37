from __future__ import annotations

import json

import numpy as np
import pytest

from shadowserve.statistics.callcost import CallCost, CallCostFit


def fitted(n_rows, cost, *, seed=0) -> CallCost:
    rng = np.random.default_rng(seed)
    noise = np.exp(0.2 * rng.standard_normal(n_rows.size))
    spikes = np.where(rng.random(n_rows.size) < 0.03, 3, 1)
    fit = CallCostFit()
    fit.add(n_rows, cost(n_rows) * noise * spikes)
    found = fit.fit()
    assert found is not None
    return found


BATCHES = np.random.default_rng(9).choice(
    [1, 2, 4, 8, 16, 64], 600, p=[0.6, 0.1, 0.1, 0.1, 0.05, 0.05]
)


@pytest.mark.parametrize("seed", range(5))
def test_a_look_up_per_call_is_told_from_a_cost_per_row(seed):
    found = fitted(BATCHES, lambda n_rows: 30 + 0.01 * n_rows, seed=seed)
    assert found.fixed_ms == pytest.approx(30, rel=0.1)
    assert found.per_row_ms is not None
    assert found.per_row_ms < 0.15
    assert found.fixed_ms / (found.fixed_ms + found.per_row_ms) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_a_cost_per_row_is_not_hidden_by_small_batches(seed):
    found = fitted(BATCHES, lambda n_rows: 0.1 + 2.0 * n_rows, seed=seed)
    assert found.per_row_ms == pytest.approx(2, rel=0.15)
    assert found.fixed_ms < 0.15 * found.per_row_ms


def test_single_rows_alone_do_not_tell_the_two_apart():
    found = fitted(np.ones(50, dtype=int), lambda n_rows: 30.0 * n_rows)
    assert found.fixed_ms == pytest.approx(30, rel=0.1)
    assert found.per_row_ms is None


def test_too_few_calls_are_not_fitted_and_bad_ones_are_left_out():
    fit = CallCostFit()
    fit.add([1, 2, 0, 4], [1.0, float("nan"), 3.0, 4.0])
    assert fit.n == 2
    assert fit.fit() is None


def test_state_survives_json():
    fit = CallCostFit()
    fit.add(BATCHES, 1.0 + BATCHES)
    back = CallCostFit.from_state(json.loads(json.dumps(fit.state())))
    assert back.state() == fit.state()
    assert back.fit() == fit.fit()
