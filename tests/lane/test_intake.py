"""Which requests a lane scores, which alone, and with what probability they are timed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowserve.comparison.bursts import block_of, blocks_of, burst_of, is_chosen
from shadowserve.lane.intake import (
    MOST_SIZED,
    InputSizes,
    LargeInputs,
    Turn,
    turn,
)
from shadowserve.records import Role, position
from shadowserve.schema.rows import Rows
from shadowserve.statistics.measuring import Plan

CALM = {"large": False, "plan": Plan(), "batched": True}
AT_ITS_LIMIT = Plan(bursts=1.0, large=1.0, others=0.05)


def control(place, **changes):
    return turn(place, role=Role.CONTROL, **{**CALM, **changes})


def challenger(place, **changes):
    return turn(place, role=Role.CHALLENGER, **{**CALM, **changes})


def test_the_control_scores_twenty_of_every_two_hundred():
    scored = [n for n in range(1, 2001) if control(n).score]
    assert len(scored) == 200
    assert scored[:20] == list(range(1, 21))
    for burst in range(10):
        own = scored[20 * burst : 20 * burst + 20]
        assert own == list(range(own[0], own[0] + 20))
        assert 200 * burst < own[0] < own[-1] <= 200 * burst + 200


def test_the_first_four_of_a_burst_are_not_timed_and_the_rest_have_their_probability():
    turns = [control(n) for n in range(1, 21)]
    assert [one.timed for one in turns] == [False] * 4 + [True] * 16
    assert [one.inclusion for one in turns] == pytest.approx([16 / 200] * 20)


def test_bursts_are_each_workers_own():
    assert [burst_of(position(3, n)) for n in (1, 20, 21)] == [(0, 0), (0, 19), None]
    places = [[n for n in range(1, 2001) if burst_of(position(worker, n))] for worker in (0, 3)]
    assert places[0] != places[1]


def test_each_place_of_a_block_is_in_one_burst_of_ten():
    """Traffic that comes round would else show bursts the same requests for ever."""
    within = np.zeros(200)
    for n in range(201, 400_201):
        within[(n - 1) % 200] += burst_of(n) is not None
    assert 0.07 < within.min() / 2_000 < within.max() / 2_000 < 0.13


def test_bursts_are_chosen_whole_and_alike_where_more_are():
    some = {burst_of(n)[0] for n in range(1, 40_001) if burst_of(n) and is_chosen(n, 0.3)}
    more = {burst_of(n)[0] for n in range(1, 40_001) if burst_of(n) and is_chosen(n, 0.6)}
    assert some < more
    assert len(some) == pytest.approx(60, abs=20)
    for n in range(1, 40_001):
        if burst_of(n):
            assert is_chosen(n, 0.3) is (burst_of(n)[0] in some)


def test_large_inputs_are_scored_alone_and_counted_as_certain():
    for one in (control(50, large=True), challenger(50, large=True, plan=AT_ITS_LIMIT)):
        assert one == Turn(score=True, alone=True, timed=True, inclusion=1.0)
    assert control(2, large=True).timed


def test_a_burst_that_is_not_timed_the_control_scores_in_a_batch():
    """So that what champion and control disagree on is known as well as ever."""
    none = Plan(bursts=0.0, others=0.0)
    assert control(5, plan=none) == Turn(alone=False, timed=False)
    assert not control(5, plan=none, batched=False).score


@given(place=st.integers(1, 10**9))
def test_a_challenger_scores_everything(place):
    assert challenger(place) == Turn(burst=burst_of(place) is not None)
    assert challenger(place, plan=AT_ITS_LIMIT).score
    alone = challenger(place, plan=AT_ITS_LIMIT, batched=False)
    assert (alone.alone, alone.timed, alone.inclusion) == (True, True, 1.0)


def test_a_challenger_at_its_limit_times_a_share_alone():
    """The share is what the weights say it is, and bursts stay alone so that they can be paired."""
    turns = [challenger(n, plan=AT_ITS_LIMIT) for n in range(1, 40_001)]
    timed = np.array([one.timed for one in turns])
    assert timed.mean() == pytest.approx(0.1 + 0.9 * 0.05, abs=0.005)
    assert all(one.alone for one in turns if one.timed)
    assert all(one.alone and one.burst for n, one in enumerate(turns, 1) if burst_of(n))
    assert sum(1 / one.inclusion for one in turns if one.timed) == pytest.approx(40_000, rel=0.1)


def test_the_largest_so_far_are_large_from_the_first_request_on():
    """A lane that is behind when it begins must not score the slowest in a batch, untimed."""
    large = LargeInputs()
    flagged = [large.is_large({"text": 10_000 if n == 50 else 10}) for n in range(100)]
    assert [n for n, one in enumerate(flagged) if one] == [0, 50]


def test_the_largest_are_the_top_per_cent_once_enough_have_come():
    large = LargeInputs()
    for _ in range(100):
        large.is_large({"text": 10})
    assert not large.is_large({"text": 10})
    assert large.is_large({"text": 20_000})
    assert not large.is_large({"other": 20_000})
    assert not large.is_large({})


def test_about_one_in_a_hundred_is_large():
    large, chance = LargeInputs(), np.random.default_rng(0)
    flagged = [large.is_large({"text": int(size)}) for size in chance.lognormal(5, 1, 5000)]
    assert 0.005 < np.mean(flagged[500:]) < 0.02


def texts(**columns):
    arrays = {name: np.array([text], dtype=object) for name, text in columns.items()}
    return Rows(columns={**arrays, "n": np.array([1.0])}, n_rows=1)


def test_sizes_are_those_of_what_has_a_size():
    assert InputSizes(()).of(texts(text="four", word="")) == {"text": 4, "word": 0}
    assert InputSizes(()).of(None) == {}


def test_only_so_many_columns_are_sized_and_the_known_ones_always_are():
    sizes = InputSizes(["text"])
    strange = {f"c{n}": "x" for n in range(MOST_SIZED)}
    assert len(sizes.of(texts(**strange))) == MOST_SIZED - 1
    assert sizes.of(texts(text="four", another="x")) == {"text": 4}


@pytest.mark.parametrize("seed", range(6))
def test_of_many_requests_those_are_large_that_are_large_in_turn(seed):
    chance = np.random.default_rng(seed)

    def drawn():
        sizes = {"text": int(chance.integers(0, 50)), "more": int(chance.pareto(1.5) * 10)}
        if seed % 2:  # without a signature callers name columns at will
            for name in list(sizes):
                if chance.random() < 0.1:
                    del sizes[name]
            if chance.random() < 0.05:
                sizes[f"of-{chance.integers(9)}"] = int(chance.integers(1000))
        return sizes

    together, single = LargeInputs(), LargeInputs()
    n_large = 0
    for n in (1, 0, 98, 1, 1, 99, 64, 30, 3):  # of many more the sketch keeps some by chance
        requests = [drawn() for _ in range(n)]
        found = together.are_large(requests)
        assert found == [single.is_large(own) for own in requests]
        n_large += sum(found)
    assert 3 < n_large < 150
    assert together._limits == single._limits
    assert together._waiting == single._waiting


def test_requests_without_sizes_are_not_large():
    large = LargeInputs()
    for _ in range(3):
        assert large.are_large([{}] * 90) == [False] * 90
    assert large.are_large([{"text": 1}] * 90) == [False] * 90


def test_the_blocks_of_many_positions_are_those_of_each():
    places = [
        position(worker, n)
        for n in (1, 199, 200, 201, 400, 10**9, 2**40 - 1)
        for worker in (0, 5, 2**22)
    ]
    assert blocks_of(places) == [block_of(place) for place in places]
    assert blocks_of([]) == []
