from __future__ import annotations

import json

import numpy as np
import pytest

from shadowserve.statistics.growth import Growth, GrowthFit
from shadowserve.statistics.input_sizes import SizeCounts

STEPS = {
    "constant": lambda size: 0.0 * size,
    "root": lambda size: 0.05 * size**0.5,
    "linear": lambda size: 1e-3 * size,
    "slow linear": lambda size: 1e-4 * size,
    "n log n": lambda size: 1e-4 * size * np.log(size),
    "quadratic": lambda size: 1e-7 * size**2,
    "cubic": lambda size: 1e-12 * size**3,
    "tiny quadratic": lambda size: 1e-10 * size**2,
}


def timed(step, *, seed, n_rows=1_000, jitter=0.2, spikes=0.03) -> GrowthFit:
    """Mostly short descriptions, 1 % of them 50 times and more as long, timed with noise."""
    rng = np.random.default_rng(seed)
    size = np.maximum(rng.lognormal(np.log(250), 0.5, n_rows), 10).astype(np.int64)
    size[::100] = rng.integers(12_000, 120_000, size[::100].size)
    ms = (0.3 + STEPS[step](size.astype(float))) * np.exp(jitter * rng.standard_normal(n_rows))
    fit = GrowthFit()
    fit.add(size, ms * np.where(rng.random(n_rows) < spikes, 10 if spikes > 0.1 else 3, 1))
    return fit


def fitted(step, **options) -> Growth:
    growth = timed(step, **options).fit()
    assert growth is not None
    return growth


@pytest.mark.parametrize("seed", range(10))
def test_a_quadratic_step_is_named_within_a_thousand_requests(seed):
    growth = fitted("quadratic", seed=seed)
    assert growth.superlinear
    assert growth.exponent == pytest.approx(2, abs=0.25)
    assert growth.low <= 2 <= growth.high
    assert growth.fixed_ms == pytest.approx(0.3, rel=0.2)


@pytest.mark.parametrize("seed", range(5))
def test_a_cubic_step_is_superlinear_too(seed):
    assert fitted("cubic", seed=seed).superlinear


@pytest.mark.parametrize("step", ["constant", "root", "linear", "slow linear", "n log n"])
def test_an_innocent_step_is_never_called_superlinear(step):
    assert not any(fitted(step, seed=seed, jitter=0.3).superlinear for seed in range(25))


@pytest.mark.parametrize("seed", range(5))
def test_a_linear_step_with_a_heavy_tail_grows_with_exponent_one(seed):
    growth = fitted("linear", seed=seed)
    assert growth.grows
    assert growth.exponent == pytest.approx(1, abs=0.1)


def test_a_constant_step_does_not_grow_and_its_exponent_is_unknown():
    growth = fitted("constant", seed=0)
    assert not growth.grows
    assert (growth.low, growth.high) == (0.2, 4.0)


def test_the_tail_is_predicted_at_the_sizes_that_production_sends():
    growth = fitted("quadratic", seed=3)
    seen = SizeCounts()
    seen.add(np.repeat([250, 20_000, 200_000], [970, 29, 1]))
    p99_ms, largest_ms = growth.tail(seen)
    assert p99_ms == pytest.approx(1e-7 * 20_000**2, rel=0.35)
    assert largest_ms == pytest.approx(1e-7 * 200_000**2, rel=0.6)


def test_a_cost_that_does_not_matter_is_no_finding():
    growth = fitted("tiny quadratic", seed=0, jitter=0.02)
    assert growth.low > 1.3
    assert not growth.grows
    assert not growth.superlinear


@pytest.mark.parametrize("seed", range(3))
def test_scheduling_spikes_weigh_little(seed):
    """An eighth of the timings ten times too long would double a plain average."""
    assert fitted("constant", seed=seed, spikes=0.125).predict(250) == pytest.approx(0.3, rel=0.25)


def test_too_little_is_not_fitted():
    assert GrowthFit().fit() is None
    fit = GrowthFit()
    fit.add(np.full(100, 7), np.ones(100))
    assert fit.fit() is None


def test_nan_timings_are_left_out_and_zero_ones_do_no_harm():
    fit = GrowthFit()
    fit.add(np.arange(40), np.where(np.arange(40) % 2, np.nan, 0.0))
    assert fit.n == 20
    growth = fit.fit()
    assert growth is not None
    assert not growth.grows


def test_state_survives_json_and_memory_is_bounded_by_octave():
    fit = timed("quadratic", seed=1, n_rows=20_000)
    back = GrowthFit.from_state(json.loads(json.dumps(fit.state())))
    assert back.state() == fit.state()
    assert back.fit() == fit.fit()
    assert all(len(kept) <= 48 for kept in fit.state()["octaves"].values())
