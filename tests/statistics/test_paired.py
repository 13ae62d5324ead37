"""Whether a challenger is slower, told from bursts in which both took turns."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from benchmarks.calibration_latency import alarmed, drawn, first_look
from shadowserve.statistics.epochs import epochs, look
from shadowserve.statistics.paired import MOST_BURSTS, PairedBursts, joined, slower


def moods(rng, n_bursts, *, memory, size=0.3):
    """How slow the place is: an AR(1) in the logarithm, from burst to burst."""
    shocks = rng.standard_normal(n_bursts) * size * np.sqrt(1 - memory**2)
    return lfilter([1], [1, -memory], shocks)


def fed(seed, ratio, *, n=100, ms=20.0, mood=0.9, apart=0.0, margin=0.1, server_ms=0.3):
    """Both take turns in one place of moods; each has hiccups of its own, and a life's own speed."""
    rng, pairs = np.random.default_rng(seed), PairedBursts(margin=margin)
    place = moods(rng, n, memory=mood)
    lives = apart * rng.standard_normal(2)
    for burst in range(n):
        own = np.exp(0.1 * rng.standard_normal((2, 16)) + lives[:, None] + place[burst])
        own *= np.where(rng.random((2, 16)) < 0.02, 5.0, 1.0)
        pairs.add(burst, ms * own[0], ratio * ms * own[1], server_ms=np.full(16, server_ms))
    return pairs


@pytest.mark.parametrize("ratio", [1.0, 1.02])
def test_the_same_version_twice_is_never_slower(ratio):
    assert not any(fed(seed, ratio, apart=0.02).is_slower(alpha=0.01) for seed in range(40))


def test_half_as_long_again_is_slower_and_is_told_so_after_eight_bursts():
    found = [fed(seed, 1.5, n=9).is_slower(alpha=0.0007) for seed in range(20)]
    assert np.mean(found) >= 0.8


def test_the_same_version_is_not_slower_after_a_dozen_bursts():
    found = [fed(seed, 1.0, n=13).is_not_slower(alpha=0.05) for seed in range(20)]
    assert np.mean(found) >= 0.8


@pytest.mark.parametrize("ratio", [1.1, 1.11])
def test_a_version_at_the_limit_is_seldom_let_pass(ratio):
    assert np.mean([fed(seed, ratio, apart=0.01).is_not_slower(alpha=0.05) for seed in range(60)]) < 0.06  # fmt: skip


def test_a_mood_that_lasts_is_no_slowness_of_one():
    """In turn, what slows the place slows both: however long the mood, the ratio stays."""
    for mood in (0.0, 0.99, 0.9999):
        assert fed(3, 1.0, mood=mood).interval(0.05).ratio == pytest.approx(1.0, abs=0.03)


def test_one_of_eight_stretches_that_is_not_slower_speaks_against_it():
    rows = np.zeros((40, 6))
    rows[:, 0], rows[:, 1] = np.arange(40), 1
    rows[:, 2] = np.repeat([0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.05], 5)
    assert look(1, rows).above(0.05) < np.log(1.1) < look(1, rows[:35]).above(0.05)
    assert slower(np.full(40, 0.5) + 1e-3 * np.arange(40), limit=np.log(1.1), alpha=0.05)


def test_the_median_is_of_logarithms_so_that_twice_and_half_cancel():
    """The mean of the two middle ratios of 0.5 and 2 is 1.25."""
    pairs = PairedBursts()
    for burst in range(9):
        pairs.add(burst, np.full(16, 20.0), np.tile([10.0, 40.0], 8))
    assert pairs.interval(0.05).ratio == pytest.approx(1.0)


def test_a_fast_model_is_judged_by_what_callers_wait():
    assert fed(0, 2.0, ms=0.1, n=9).is_not_slower(alpha=0.05)
    assert fed(0, 21.0, ms=0.1).is_slower(alpha=0.001)


def test_a_server_that_takes_long_by_itself_is_part_of_the_wait():
    assert fed(0, 1.15, ms=20.0, server_ms=60.0).is_not_slower(alpha=0.05)
    assert fed(0, 1.3, ms=20.0).is_slower(alpha=0.05)


def test_the_first_burst_takes_the_measure_and_judges_nothing():
    pairs = PairedBursts(margin=0.1)
    pairs.add(0, np.full(16, 4.0), np.full(16, 400.0), server_ms=np.full(16, 0.5))
    assert (pairs.n_bursts, pairs.control_ms, pairs.beside_ms) == (0, 4.0, 6.0)
    pairs.add(1, np.full(16, 99.0), np.full(16, 4.0), server_ms=np.full(16, 50.0))
    assert (pairs.n_bursts, pairs.control_ms, pairs.beside_ms) == (1, 4.0, 6.0)


def test_nothing_is_said_before_eight_bursts():
    pairs = fed(0, 9.0, n=8)
    assert pairs.n_bursts == 7
    found = pairs.interval(0.05)
    assert (found.low, found.high, found.n_bursts) == (0.0, float("inf"), 0)
    assert np.isnan(found.ratio)
    assert pairs.needed(alpha=0.05, alpha_low=0.01) == 1


def test_a_burst_of_too_few_pairs_or_of_none_that_was_timed_counts_for_nothing():
    pairs = PairedBursts()
    pairs.add(0, np.full(7, 1.0), np.full(7, 1.0))
    pairs.add(1, np.full(16, np.nan), np.full(16, 1.0))
    pairs.add(2, np.zeros(16), np.full(16, 1.0))
    assert pairs.beside_ms is None


def test_what_was_decided_stands_until_the_next_look_and_bounds_come_only_closer():
    pairs, rng = PairedBursts(), np.random.default_rng(1)
    low, high, looks = 0.0, np.inf, 0
    for burst in range(300):
        pairs.add(burst, 20 * rng.lognormal(0, 0.2, 16), 20 * rng.lognormal(0, 0.2, 16))
        found = pairs.interval(0.05)
        assert found.low >= low
        assert found.high <= high
        if (found.low, found.high) != (low, high):
            looks += 1
        low, high = found.low, found.high
    assert looks <= len(epochs(300))


def test_a_version_that_becomes_another_is_judged_anew():
    pairs = PairedBursts()
    for burst in range(400):
        noise = 1 + 0.01 * (burst % 3)
        pairs.add(burst, np.full(16, 20.0), np.full(16, (20.0 if burst < 40 else 60.0) * noise))
    assert not pairs.is_not_slower(alpha=0.05)


def test_bursts_lie_in_the_stretch_of_their_time_whoever_brings_them_and_when():
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.permutation(np.arange(40.0)), np.ones(40), *np.zeros((4, 40))])
    rows[:, 2] = rows[:, 0]
    assert look(1, rows).levels == tuple(np.arange(40.0).reshape(8, 5).mean(axis=1))


def test_all_bursts_count_however_many_there_were():
    """Neighbours are joined, so that the first of two thousand still speaks."""
    pairs = PairedBursts()
    for burst in range(2_001):
        pairs.add(burst, np.full(16, 20.0), np.full(16, 40.0 if burst < 1_000 else 20.0))
    assert len(pairs._bursts) <= MOST_BURSTS
    assert pairs._bursts[:, 1].sum() == pairs.n_bursts == 2_000
    assert pairs._bursts[0, 2] == pytest.approx(np.log(2))
    last = pairs.epochs[-1]
    assert last.levels[0] == pytest.approx(np.log(2))
    assert last.levels[-1] == pytest.approx(0.0)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40))
def test_joining_neighbours_keeps_the_mean_and_the_sums(levels):
    rows = np.column_stack([np.arange(len(levels)), *np.ones((5, len(levels)))])
    rows[:, 2] = levels
    both = joined(rows)
    assert np.average(both[:, 2], weights=both[:, 1]) == pytest.approx(np.mean(levels), abs=1e-9)
    assert both[:, 3].sum() == len(levels)


def test_one_request_that_takes_seconds_takes_no_more_time_in_sum():
    for own, theirs in ((3_200.0, 3_200.0), (3_200.0, 20.0)):
        pairs = PairedBursts()
        for burst in range(40):
            slow = (np.arange(16) == 3) & (burst == 20)
            pairs.add(burst, np.where(slow, theirs, 20.0), np.where(slow, own, 20.0))
        assert pairs.takes_more(share=0.25) is None
    assert fed(0, 1.4).takes_more(share=0.25) == pytest.approx(1.4, abs=0.1)


@pytest.mark.parametrize("kind", ["slow spells", "very slow spells", "long memory", "daily cycle"])
def test_hostile_moods_of_the_place_raise_no_alarm_in_turn_and_hide_no_slowness(kind):
    assert not any(first_look(drawn(seed, kind, in_turn=True), alarmed) for seed in range(3))
    found = [first_look(drawn(seed, kind, in_turn=True, ratio=1.5), alarmed) for seed in range(3)]
    assert all(0 < requests <= 4_800 for requests in found)


def test_state_survives_json():
    pairs = fed(0, 1.3, n=60)
    back = PairedBursts.from_state(json.loads(json.dumps(pairs.state())))
    assert back.state() == pairs.state()
    assert back.interval(0.05) == pairs.interval(0.05)
    fresh = PairedBursts.from_state(json.loads(json.dumps(PairedBursts().state())))
    assert fresh.beside_ms is None
