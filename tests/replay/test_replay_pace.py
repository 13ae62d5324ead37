"""When requests are due: gaps of nothing and of an hour, clocks that are set back, rates and shapes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowserve.replay.pace import SHAPES, Gaps, even, shaped

HOUR_NS = 3_600 * 10**9


def due(pace, *at_ns):
    return [pace(one) for one in at_ns]


def test_gaps_of_nothing_stay_so():
    assert due(Gaps(), 5, 5, 5) == [0.0, 0.0, 0.0]


def test_an_hour_is_an_hour_and_a_second_at_3600_times():
    assert due(Gaps(), 0, HOUR_NS) == [0.0, 3_600.0]
    assert due(Gaps(speed=3_600), 0, HOUR_NS) == [0.0, 1.0]
    assert due(Gaps(speed=0.5), 0, HOUR_NS) == [0.0, 7_200.0]


def test_after_a_clock_was_set_back_gaps_go_on():
    """By the latest time seen so far an hour of requests would have no gaps at all, and come at once."""
    second = 10**9
    times = [HOUR_NS, HOUR_NS + second, second, 2 * second, 3 * second]
    assert due(Gaps(), *times) == [0.0, 1.0, 1.0, 2.0, 3.0]


@given(st.lists(st.integers(0, 10**18), min_size=1, max_size=30), st.floats(0.01, 1_000))
def test_nothing_is_due_before_what_came_before_it(times, speed):
    told = due(Gaps(speed=speed), *times)
    assert told == sorted(told)
    assert told[0] == 0


@pytest.mark.parametrize("rate", [0.5, 7, 5_000])
def test_a_rate_is_even_however_long(rate):
    pace = even(rate)
    told = [pace(0) for _ in range(2_000)]
    assert told[-1] == pytest.approx(1_999 / rate, rel=1e-9)
    assert told[1] - told[0] == pytest.approx(1 / rate)


def counts(shape, *, most, length_s, every_s):
    pace = shaped(shape, most=most, length_s=length_s)
    found = [0] * round(length_s / every_s)
    while (at := pace(0)) < length_s:
        found[int(at / every_s)] += 1
    return found


def test_a_ramp_rises_from_a_tenth_to_all():
    found = counts("ramp", most=200, length_s=20, every_s=1)
    assert found[0] == pytest.approx(24.5, abs=2)
    assert found[-1] == pytest.approx(195.5, abs=2)
    assert sum(found) == pytest.approx(20 * 110, abs=3)


def test_a_burst_comes_each_ten_seconds():
    found = counts("burst", most=100, length_s=30, every_s=1)
    assert [n > 90 for n in found] == 3 * ([False] * 9 + [True])
    assert sum(found) == pytest.approx(3 * (9 * 20 + 100), abs=3)


def test_a_burst_is_not_stepped_over_where_little_comes_between():
    found = counts("burst", most=2, length_s=40, every_s=10)
    assert sum(found) == pytest.approx(4 * (9 * 0.4 + 2), abs=1.1)


def test_a_day_has_a_noon_and_two_nights():
    found = counts("day", most=100, length_s=30, every_s=1)
    assert found.index(max(found)) in (13, 14, 15, 16)
    assert max(found) == pytest.approx(100, abs=2)
    assert found[0] == found[-1] == pytest.approx(20, abs=2)


def test_the_shapes_that_the_command_offers_are_all():
    from shadowserve.cli.replay_options import SHAPES as OFFERED

    assert OFFERED == SHAPES
