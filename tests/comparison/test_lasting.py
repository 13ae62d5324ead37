"""Failures that last, and episodes of them."""

from __future__ import annotations

import json
from math import log

import numpy as np
import pytest

from shadowserve.comparison.episodes import TOGETHER_NS, Episodes
from shadowserve.comparison.lasting import (
    COMPANIONS,
    ERROR,
    HOLE,
    MOST_TRIED,
    Answers,
    Lasting,
    Tried,
)
from shadowserve.statistics.sequential import log_e_sign

NEEDED = log(45 / 0.01)


def tried(position, *alone):
    """A request that failed at its second scorings, or whose companions did."""
    return Tried(position, [[here, *[not here] * COMPANIONS] for here in alone])


def test_five_that_alone_of_their_seven_keep_failing_are_proof_and_four_are_not():
    seen = Lasting()
    for n in range(4):
        seen.end(ERROR, tried(n, True, True))
    assert seen.told(ERROR, None).evidence < NEEDED
    seen.end(ERROR, tried(5, True, True))
    assert seen.told(ERROR, None).evidence > NEEDED
    assert seen.told(HOLE, None).tried == 0


def test_what_fails_beside_its_companions_proves_nothing_however_often():
    seen = Lasting()
    for n in range(200):
        seen.end(ERROR, Tried(n, [[True] * 7, [True] * 7]))
    told = seen.told(ERROR, None)
    assert (told.lasting, told.decided) == (200, 0)
    assert told.evidence <= 0


def test_a_request_that_fails_once_more_does_not_last():
    seen = Lasting()
    for n in range(50):
        seen.end(ERROR, tried(n, True, False))
    assert seen.told(ERROR, None).lasting == 0


def test_only_what_the_control_has_scored_twice_counts_and_only_where_it_answered():
    seen, answers = Lasting(), Answers()
    for n in range(9):
        seen.end(ERROR, tried(n, True, True))
    for n in range(3):
        answers.add(n, fine=True)
    assert seen.told(ERROR, answers).tried == 0
    for n in range(6):
        answers.add(n, fine=n != 2)
        answers.add(n, fine=n != 2)
    told = seen.told(ERROR, answers)
    assert (told.tried, told.lasting) == (6, 5)


def test_so_many_that_show_nothing_are_forgotten_and_the_next_need_more():
    seen = Lasting()
    for n in range(MOST_TRIED + 5):
        seen.end(ERROR, tried(n, n >= MOST_TRIED, n >= MOST_TRIED))
    told = seen.told(ERROR, None)
    assert told.tried == 5
    assert told.needed == pytest.approx(log(3))


def test_lasting_and_answers_go_on_after_a_restart():
    seen, answers = Lasting(), Answers()
    seen.ask(7)
    seen.end(ERROR, tried(7, True, True))
    answers.add(7, fine=True)
    answers.add(7, fine=True)
    again = Lasting.from_state(json.loads(json.dumps(seen.state())))
    known = Answers.from_state(json.loads(json.dumps(answers.state())))
    assert again.told(ERROR, known) == seen.told(ERROR, answers)
    assert again.asked == [7]
    assert Lasting.from_state({}).told(ERROR, None).tried == 0


@pytest.mark.parametrize("p", [0.5, 1 / 3, 1 / 7])
def test_signs_that_come_by_chance_ever_pass_no_oftener_than_alpha(p):
    chance, wrong = np.random.default_rng(0), 0
    for _ in range(200):
        total = np.cumsum(chance.random(200) < p)
        wrong += any(log_e_sign(int(k), n + 1, p) >= log(20) for n, k in enumerate(total))
    assert wrong / 200 <= 0.05


def test_twelve_to_none_are_proof_and_five_to_none_are_not():
    assert log_e_sign(12, 12) > log(1 / 0.00045) > log_e_sign(5, 5)


def counted(own, theirs, seconds=10.0):
    seen = Episodes()
    when = (np.arange(len(own)) * seconds * 1e9).astype(int).tolist()
    for at in range(0, len(own), 50):
        part = slice(at, at + 50)
        seen.add(np.asarray(own[part]), np.asarray(theirs[part]), when[part])
    return seen.own, seen.theirs


def test_failures_within_a_hundred_requests_are_one_episode():
    own = np.isin(np.arange(2_000), [10, 60, 150, 251, 900])
    assert counted(own, np.zeros(2_000, bool)) == (3, 0)


def test_failures_within_a_minute_are_one_episode():
    own = np.isin(np.arange(2_000), [10, 900, 1_900])
    assert counted(own, own[::-1], seconds=0.01) == (1, 1)


def test_a_clock_that_is_set_back_joins_no_more_than_a_minute():
    seen = Episodes()
    seen.add(np.array([True]), np.array([False]), [10 * TOGETHER_NS])
    seen.add(np.zeros(200, bool), np.zeros(200, bool), [0] * 200)
    seen.add(np.array([True]), np.array([False]), [0])
    assert seen.own == 2
