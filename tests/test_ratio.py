from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowserve.ratio import WARM_UP, PairedRatio, paired_ratio


def moods(rng, n_rows, *, memory=0.9, size=0.3) -> np.ndarray:
    """Noise of a busy machine: an AR(1) in the logarithm, with spikes."""
    shocks = rng.standard_normal(n_rows) * size * np.sqrt(1 - memory**2)
    noise = np.empty(n_rows)
    last = 0.0
    for at, shock in enumerate(shocks.tolist()):
        last = memory * last + shock
        noise[at] = last
    return np.exp(noise) * np.where(rng.random(n_rows) < 0.02, 5, 1)


def timed(seed, ratio, n_rows=2_000, **mood):
    rng = np.random.default_rng(seed)
    work_ms = rng.lognormal(1, 0.6, n_rows)
    return work_ms * moods(rng, n_rows, **mood), ratio * work_ms * moods(rng, n_rows, **mood)


@pytest.mark.parametrize("memory", [0.9, 0.98])
@pytest.mark.parametrize("systematic", [1.0, 1.02])
def test_the_same_version_twice_is_never_slower(systematic, memory):
    fired = 0
    for seed in range(25):
        control_ms, challenger_ms = timed(seed, systematic, n_rows=4_000, memory=memory)
        pairs = PairedRatio()
        for look in range(0, 4_000, 200):
            rows = slice(look, look + 200)
            pairs.add(control_ms[rows], challenger_ms[rows])
            fired += pairs.is_slower(alpha=0.05)
    assert fired == 0


@pytest.mark.parametrize("seed", range(5))
def test_a_version_slower_by_half_is_proven_slower_in_two_thousand_requests(seed):
    pairs = PairedRatio()
    pairs.add(*timed(seed, 1.5))
    assert pairs.is_slower(margin=0.10, alpha=0.05)
    found = pairs.interval(0.05)
    assert 1.1 < found.low < 1.5 < found.high < 2.1
    assert found.ratio == pytest.approx(1.5, rel=0.15)


def test_twice_as_fast_is_proven_not_slower():
    pairs = PairedRatio()
    pairs.add(*timed(0, 0.5))
    assert pairs.is_not_slower(alpha=0.05)
    assert not pairs.is_slower(alpha=0.05)


def test_a_cold_cache_is_warm_up_and_no_slowness():
    control_ms, challenger_ms = timed(1, 1.0)
    challenger_ms[:WARM_UP] *= 40
    found = paired_ratio(control_ms, challenger_ms, alpha=0.05)
    assert found.warm_up == WARM_UP
    assert found.low < 1 < found.high
    assert found.high < 1.3


def test_moods_that_outlast_a_burst_count_for_less():
    calm, moody = PairedRatio(), PairedRatio()
    calm.add(*timed(0, 1.0, n_rows=6_000, memory=0.0))
    moody.add(*timed(0, 1.0, n_rows=6_000, memory=0.98))
    assert calm.effect < 1.4
    assert moody.effect > 2.5


def test_nothing_is_said_before_there_is_enough():
    found = paired_ratio(np.ones(WARM_UP + 3), np.full(WARM_UP + 3, 9.0), alpha=0.05)
    assert (found.low, found.high, found.n) == (0.0, float("inf"), 3)
    assert np.isnan(found.ratio)


def test_what_is_undecided_says_how_many_more_pairs_it_takes():
    pairs = PairedRatio()
    assert pairs.needed(alpha=0.05) is None
    pairs.add(*timed(0, 0.5, n_rows=40, memory=0.0, size=0.02))
    more = pairs.needed(alpha=0.05)
    assert more
    pairs.add(*timed(1, 0.5, n_rows=2 * more, memory=0.0, size=0.02))
    assert pairs.is_not_slower(alpha=0.05)
    assert pairs.needed(alpha=0.05) == 0


def test_half_the_time_is_decided_by_what_two_thousand_requests_give():
    """The control times 16 requests of every 200; the first twenty of all are its own warm-up."""
    decided = 0
    for seed in range(40):
        pairs = PairedRatio()
        control_ms, challenger_ms = timed(seed, 0.5, memory=0.5, size=0.15)
        place = np.arange(2_000) % 200
        paired = (place >= 4) & (place < 20) & (np.arange(2_000) >= 200)
        pairs.add(control_ms[paired], challenger_ms[paired])
        decided += pairs.is_not_slower(alpha=0.05)
    assert decided >= 36


@given(st.lists(st.integers(1, 300), min_size=1, max_size=8))
def test_the_size_of_the_batches_does_not_matter(batches):
    control_ms, challenger_ms = timed(3, 1.2, n_rows=sum(batches))
    once, parts = PairedRatio(), PairedRatio()
    once.add(control_ms, challenger_ms)
    for part in np.split(np.arange(sum(batches)), np.cumsum(batches)[:-1]):
        parts.add(control_ms[part], challenger_ms[part])
    assert once.state() == parts.state()


def test_state_survives_json_and_untimed_pairs_are_left_out():
    pairs = PairedRatio(warm_up=0)
    pairs.add([1.0, 0.0, float("nan"), 2.0], [1.0, 1.0, 1.0, 3.0])
    assert pairs.n == 2
    pairs.add(*timed(0, 1.1))
    back = PairedRatio.from_state(json.loads(json.dumps(pairs.state())))
    assert back.state() == pairs.state()
    assert back.interval(0.05) == pairs.interval(0.05)
