"""Processes are taken when traffic needs them for long, and given back when it does not: no spike makes them flap."""

from __future__ import annotations

import itertools

import pytest

from shadowserve.lane.staffing import GIVE_S, MOST_GIVE_S, TAKE_S, Staffing

HOUR_S = 3_600


def play(load, *, seconds, most=4, has_room=lambda: True):
    """Let traffic come as `load` says, in processes that it keeps busy; return how many scored, by second."""
    staffing, queue, found = Staffing(most, has_room=has_room), 0.0, []
    for second in range(seconds):
        n = staffing.wanted
        asked = load(second) + queue
        busy = min(n, asked)
        queue = asked - busy
        found.append(staffing.look(lag_s=queue / max(load(second), 0.1), busy=busy, now_s=second))
    return found


def changes(found):
    return sum(a != b for a, b in itertools.pairwise(found))


def test_traffic_that_one_process_bears_gets_one():
    assert set(play(lambda _: 0.95, seconds=HOUR_S)) == {1}


@pytest.mark.parametrize("needed", [1.5, 2.5, 3.5])
def test_traffic_gets_what_it_needs_and_not_more(needed):
    found = play(lambda _: needed, seconds=HOUR_S)
    assert found[-1] == int(needed) + 1
    assert changes(found) <= 4


def test_no_more_are_taken_than_cores_allow():
    assert max(play(lambda _: 9.0, seconds=HOUR_S)) == 4


def test_what_is_not_needed_any_more_is_given_back():
    found = play(lambda second: 3.5 if second < 1_200 else 0.1, seconds=2 * HOUR_S)
    assert max(found) == 4
    assert found[-1] == 1


@pytest.mark.parametrize(
    ("spike", "every"),
    [(1, 5), (5, 30), (8, 60), (20, 60), (30, 120), (30, 300), (60, 600), (120, 1_200), (200, 900)],
)
def test_spiky_traffic_does_not_flap(spike, every):
    """However long spikes are and however often they come, over a day: a change an hour at most."""
    found = play(lambda second: 3.0 if second % every < spike else 0.2, seconds=24 * HOUR_S)
    assert changes(found) <= 40
    assert changes(found[12 * HOUR_S :]) <= 16


def test_a_spike_shorter_than_what_counts_takes_none():
    spike = int(TAKE_S) - 3
    found = play(lambda second: 1.9 if second % 60 < spike else 0.1, seconds=HOUR_S)
    assert set(found) == {1}


def test_memory_refuses_and_it_is_said():
    staffing = Staffing(4, has_room=lambda: False)
    for second in range(60):
        assert staffing.look(lag_s=9.0, busy=1.0, now_s=second) == 1
    assert staffing.remark.endswith("there is no memory for another")
    staffing.look(lag_s=0.0, busy=0.1, now_s=61)
    assert "memory" not in staffing.remark


def test_memory_that_comes_free_lets_one_in():
    free = iter([False] * 30)
    staffing = Staffing(2, has_room=lambda: next(free, True))
    found = [staffing.look(lag_s=9.0, busy=1.0, now_s=second) for second in range(60)]
    assert found[0] == 1
    assert found[-1] == 2


def test_one_that_was_just_taken_has_to_load_before_the_next():
    staffing = Staffing(4, has_room=lambda: True)
    found = [staffing.look(lag_s=9.0, busy=1.0, now_s=second) for second in range(31)]
    assert found.count(2) >= 15


def test_how_long_one_is_kept_is_bounded():
    staffing = Staffing(2, has_room=lambda: True)
    now = 0.0
    for _ in range(20):
        while staffing.look(lag_s=9.0, busy=1.0, now_s=now) == 1:
            now += 1
        began = now
        while staffing.look(lag_s=0.0, busy=0.1, now_s=now) == 2:
            now += 1
        assert GIVE_S <= now - began <= MOST_GIVE_S + 1
