"""Thinning is fixed before anything of a block is known, alike for all who read it, and weighs true."""

from __future__ import annotations

import json

import numpy as np
import pytest

from shadowserve.comparison.bursts import BURST_EVERY, block_of
from shadowserve.lane.intake import is_kept
from shadowserve.statistics.tally.samples import hash_position
from shadowserve.statistics.thinning import (
    BEHIND_S,
    CATCH_UP_S,
    LOOK_NS,
    SHARES,
    Thinning,
)

TURN_S = LOOK_NS / 1e9


def looked(thinning, lags):
    """Let looks find these lags, and return the share after each."""
    found = []
    for n, lag in enumerate(lags):
        thinning.look(lag, now_ns=10**18 + n * LOOK_NS)
        found.append(thinning.now)
    return found


def test_a_lane_that_keeps_up_or_has_fallen_behind_a_little_scores_everything():
    assert set(looked(Thinning(), [0.0, BEHIND_S - 1, BEHIND_S - 1, 0.0] * 50)) == {1.0}


def test_a_lane_that_falls_further_behind_scores_less_and_never_nothing():
    shares = looked(Thinning(), [100 + TURN_S * n for n in range(20)])
    assert shares[:6] == [1.0, 0.5, 0.25, 0.125, 0.0625, 0.0625]
    assert min(shares) == SHARES[-1]


def test_a_lane_that_catches_up_in_time_scores_everything():
    lags = np.maximum(0.0, 1_000 - 1.2 * 1_000 / CATCH_UP_S * TURN_S * np.arange(100))
    assert set(looked(Thinning(), lags)) == {1.0}


def test_a_lane_that_has_caught_up_scores_more_again_step_by_step():
    shares = looked(Thinning(), [100, 200, 300, *[1.0] * 12])
    assert shares[2] == 0.25
    assert shares[-1] == 1.0
    assert 0.5 in shares[3:]


@pytest.mark.parametrize("period", [2, 5, 11, 30, 90])
def test_spiky_traffic_does_not_flap(period):
    """For ever falling behind and catching up: the share changes seldom, and ever more seldom."""
    thinning, changes, lag = Thinning(), [], 0.0
    for n in range(2_000):
        heavy = n // period % 2 == 0
        # Scored whole, it falls behind at heavy traffic as quickly as time passes.
        lag = max(0.0, lag + TURN_S * (1.5 * thinning.now - (0.7 if heavy else 1.5)))
        before = thinning.now
        thinning.look(lag, now_ns=10**18 + n * LOOK_NS)
        if thinning.now != before:
            changes.append(n)
    assert len(changes) <= 2_000 / 20
    assert sum(n >= 1_000 for n in changes) <= sum(n < 1_000 for n in changes) + 8


def test_what_a_block_gets_is_fixed_when_it_is_first_read_also_by_the_next_process():
    thinning = Thinning()
    assert thinning.share((0, 0)) == 1.0
    looked(thinning, [100, 200, 300])
    assert thinning.share((0, 7)) == 0.25
    again = Thinning.from_state(json.loads(json.dumps(thinning.state())))
    looked(again, [400 + 100 * n for n in range(5)])
    assert [again.share((0, n)) for n in (0, 6, 7, 8)] == [1.0, 1.0, 0.25, 0.0625]
    assert again.share((1, 3)) == 0.0625
    assert again.told((0, 9)) is None


def test_standing_still_on_purpose_is_no_falling_behind():
    thinning, lag = Thinning(), 600.0
    for n in range(90):  # catching up in ten minutes, but for half a minute in five
        still = n % 15 == 14
        lag = lag + TURN_S if still else lag - TURN_S
        thinning.rest() if still else thinning.look(lag, now_ns=10**18 + n * LOOK_NS)
        assert thinning.now == 1.0


def test_a_clock_that_is_set_back_neither_stops_nor_hurries_it():
    thinning = Thinning()
    looked(thinning, [100, 200])
    assert not thinning.look(10_000.0, now_ns=10**17)
    assert thinning.look(10_100.0, now_ns=10**17 + LOOK_NS)


def test_a_smaller_share_is_part_of_each_larger_one_and_as_large_as_it_says():
    positions = range(1, 40_001)
    kept = [{p for p in positions if is_kept(s, position=p, unit=None)} for s in SHARES]
    for share, larger, smaller in zip(SHARES[1:], kept, kept[1:], strict=False):
        assert smaller < larger
        assert len(smaller) / 40_000 == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("period", [2, 3, 20, 200, 256, 1_000])
def test_traffic_that_comes_round_is_thinned_evenly(period):
    kept = np.asarray([is_kept(0.25, position=p, unit=None) for p in range(1, 200_001)])
    for phase in range(0, period, max(1, period // 5)):
        own = kept[phase::period]
        assert abs(own.mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / len(own))


def test_what_is_kept_says_nothing_of_what_is_timed():
    positions = [p for p in range(1, 100_001) if is_kept(0.125, position=p, unit=None)]
    for salt in (0, 1, 2):
        assert np.mean([hash_position(p, salt=salt) < 0.05 for p in positions]) == pytest.approx(
            0.05, abs=0.008
        )


def test_an_entity_is_in_or_out_as_a_whole_whatever_its_requests():
    assert len({is_kept(0.25, position=p, unit=77) for p in range(1, 1_000)}) == 1
    assert np.mean([is_kept(0.25, position=1, unit=u) for u in range(20_000)]) == pytest.approx(
        0.25, abs=0.015
    )


def lane(seed, *, entities=400, seconds=6_000):
    """Let a lane meet traffic in which dear entities disagree, come in swarms, and make it thin.

    Returns the disagreement of all traffic, and what the lane makes of it with weights and without.
    """
    chance = np.random.default_rng(seed)
    renumbered = chance.permutation(2**20)[:entities]  # the deployment's salt
    thinning, queue, now = Thinning(), 0.0, 0.0
    truth, weighted, plain = [], [0.0, 0.0], [0, 0]
    arrivals = []
    while now < seconds:
        swarm = 1_500 < now % 3_000 < 2_600
        now += 1 / (12 if swarm else 6)
        dear = chance.random() < (0.5 if swarm else 0.05)
        who = int(chance.integers(0, entities // 10 if dear else entities))
        arrivals.append((now, who, dear, float(dear and chance.random() < 0.6)))
    for position, (at, who, dear, apart) in enumerate(arrivals, 1):
        queue = max(queue, at)  # when the lane comes to it
        thinning.look(queue - at, now_ns=int((1_000 + queue) * 1e9))
        share = thinning.share(block_of(position))
        truth.append(apart)
        if is_kept(share, position=position, unit=int(renumbered[who])):
            queue += 0.3 if dear else 0.05
            weighted[0] += apart / share
            weighted[1] += 1 / share
            plain[0] += apart
            plain[1] += 1
    return np.mean(truth), weighted[0] / weighted[1], plain[0] / plain[1], thinning


def test_entities_that_are_dear_and_disagree_are_weighed_true_though_they_are_what_thins():
    runs = [lane(seed) for seed in range(10)]
    truth, weighted, plain = (np.asarray([run[n] for run in runs]) for n in range(3))
    assert all(run[3].ever for run in runs)
    error = weighted - truth
    assert abs(error.mean()) < 3 * error.std() / np.sqrt(len(runs)) + 0.01
    # Without weights the swarms, which are thinned, would count too little.
    assert (plain - truth).mean() < -0.03


def test_a_block_is_never_cut_in_two():
    thinning, found = Thinning(), {}
    for n in range(1, 4_000):
        if n % 97 == 0:
            looked(thinning, [100 + n, 200 + n])
        found.setdefault(block_of(n), set()).add(thinning.share(block_of(n)))
    assert all(len(shares) == 1 for shares in found.values())
    assert len(found) == -(-3_999 // BURST_EVERY)
