"""A collapse is one of the challenger's answers, not one absurd answer of the champion's."""

from __future__ import annotations

import json

import numpy as np
import pytest

from shadowserve.comparison.few_items import FewItems
from shadowserve.comparison.stillness import Stillness
from shadowserve.divergence import Kind

ALPHA = 0.01 / 15
CHANCE = np.random.default_rng(0)


def seen(champion, lane, kind=Kind.NUMBER):
    one = Stillness(kind)
    sides = [side.tolist() if isinstance(side, np.ndarray) else side for side in (champion, lane)]
    for at in range(0, len(champion), 64):
        one.add(*(side[at : at + 64] for side in sides))
    return one


def is_still(one):
    return one.more.is_above(0.5, alpha=ALPHA)


@pytest.mark.parametrize("n_absurd", [1, 2, 20])
@pytest.mark.parametrize("value", [1e6, -1e300, 1e18])
def test_absurd_answers_of_the_champion_are_no_collapse_of_the_challenger(n_absurd, value):
    champion = CHANCE.standard_normal(1_200)
    lane = champion + 0.05 * CHANCE.standard_normal(1_200)
    champion[CHANCE.choice(1_200, n_absurd, replace=False)] = value
    assert not is_still(seen(champion, lane))


@pytest.mark.parametrize("n_absurd", [0, 2, 10])
def test_a_challenger_that_answers_one_number_has_collapsed_by_two_hundred_requests(n_absurd):
    champion, lane = CHANCE.standard_normal(200), 7 + 1e-4 * CHANCE.standard_normal(200)
    lane[CHANCE.choice(200, n_absurd, replace=False)] = 1e9
    assert is_still(seen(champion, lane))


@pytest.mark.parametrize("times", [1e-6, 1e-3, 1e3])
def test_another_unit_varies_as_the_champion_does(times):
    champion = 50 + CHANCE.standard_normal(400)
    assert not is_still(seen(champion, times * champion))


def test_numbers_that_follow_the_champion_within_a_ten_thousandth_have_collapsed():
    champion = 50 + CHANCE.standard_normal(300)
    assert is_still(seen(champion, 7 + 1e-4 * (champion - 50)))


def test_heavy_tails_and_a_run_of_one_user_are_no_collapse():
    champion = CHANCE.standard_t(2, 2_000)
    champion[:700] = champion[0]
    assert not is_still(seen(champion, champion + 0.01))


def test_what_both_answer_most_often_is_no_collapse():
    champion = np.where(CHANCE.random(1_000) < 0.9, 0.0, CHANCE.standard_normal(1_000))
    assert not is_still(seen(champion, np.where(CHANCE.random(1_000) < 0.95, 0.0, champion)))


def test_a_champion_that_holds_still_at_first_is_watched_once_it_varies():
    champion = np.concatenate([np.zeros(150), CHANCE.standard_normal(350)])
    assert is_still(seen(champion, np.zeros(500)))


def test_null_answers_judge_nothing():
    one = seen([None] * 300, [1.0] * 300)
    assert one.more.n == 0


def test_stillness_goes_on_after_a_restart_as_without_one():
    champion, lane = CHANCE.standard_normal(400), CHANCE.standard_normal(400)
    whole = seen(champion, lane)
    for cut in (50, 99, 100, 250):
        half = seen(champion[:cut], lane[:cut])
        resumed = Stillness.from_state(json.loads(json.dumps(half.state())))
        resumed.add(champion[cut:].tolist(), lane[cut:].tolist())
        assert resumed.more.counts.tolist() == whole.more.counts.tolist()


def lists(n, of):
    return [of(i) for i in range(n)]


def shelf(i):
    return [f"film {(7 * i + k) % 90}" for k in range(5)]


def test_lists_of_eggs_are_few_items_by_the_first_hundred():
    seen = FewItems()
    seen.add(lists(100, shelf), [[f"egg {k}" for k in range(5)]] * 100)
    assert seen.more.is_above(0.2, alpha=ALPHA / 2)
    assert seen.shown().own == 1.0
    assert seen.shown().theirs == 0.0


def test_ten_chosen_on_the_lists_they_are_measured_by_would_look_concentrated_and_do_not():
    """Of lists without repeats any ten chosen after the fact are concentrated."""
    seen = FewItems()
    own = [[f"new {5 * i + k}" for k in range(5)] for i in range(200)]
    seen.add(lists(200, shelf), own)
    assert seen.more.mean <= 0
    assert not seen.everywhere.is_above(0.0, alpha=0.5)


def test_another_ten_as_concentrated_as_the_champions_are_no_collapse():
    seen = FewItems()
    seen.add([["a", "b", "c"]] * 400, [["x", "y", "z"]] * 400)
    assert not seen.more.is_above(0.2, alpha=ALPHA / 2)


def test_few_items_go_on_after_a_restart():
    seen = FewItems()
    seen.add(lists(150, shelf), [["egg"]] * 150)
    resumed = FewItems.from_state(json.loads(json.dumps(seen.state())))
    for one in (seen, resumed):
        one.add(lists(150, shelf), [["egg"]] * 150)
    assert resumed.shown().own == seen.shown().own == 1.0
    assert resumed.more.n == pytest.approx(seen.more.n, abs=16)


def test_lists_taken_in_at_once_are_lists_taken_in_by_blocks():
    """However lists are cut into flushes of whole blocks, the same is counted of them."""
    chance = np.random.default_rng(3)
    lists = [[[int(v) for v in chance.zipf(1.6, 10) % 40] for _ in range(160)] for _ in (0, 1)]
    lists[0][5], lists[1][7], lists[1][8] = ["a", 1, 1.0, True, None], [], [[1], {"a": 1}]
    whole, single = FewItems(), FewItems()
    whole.add(*lists)
    for first in range(0, 160, 16):
        single.add(*(side[first : first + 16] for side in lists))
    one, other = whole.state(), single.state()
    assert one["sums"] == other["sums"]
    assert one["odd"] == other["odd"]
    assert one["more"]["n"] == other["more"]["n"] > 40
    for name in ("more", "everywhere"):
        assert np.allclose(getattr(whole, name).counts, getattr(single, name).counts, rtol=1e-12)
