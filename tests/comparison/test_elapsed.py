"""How long traffic has come, whatever the wall clock is set to."""

from __future__ import annotations

from rig.journal import request
from shadowserve.comparison.elapsed import Elapsed
from shadowserve.records import position

HOUR_NS = 3_600 * 10**9


def arriving(*seconds, worker=0, base_ns=0):
    """One request after the other, at these seconds of the monotonic clock."""
    return [
        request(position(worker, n), arrived_ns=base_ns + int(at * 1e9), arrived_wall_ns=n * 10**18)
        for n, at in enumerate(seconds, 1)
    ]


def test_the_wall_clock_is_of_no_account():
    elapsed = Elapsed()
    assert elapsed.seconds == 0
    elapsed.add(arriving(5.0))
    assert elapsed.seconds == 0
    elapsed.add(arriving(5.0, 6.0, 8.0))
    assert elapsed.seconds == 3.0


def test_workers_are_not_added_up():
    elapsed = Elapsed()
    elapsed.add(arriving(0.0, 10.0))
    elapsed.add(arriving(2.0, 9.0, worker=1))
    assert elapsed.seconds == 10.0


def test_small_disorder_counts_no_time_twice():
    elapsed = Elapsed()
    elapsed.add(arriving(10.0, 9.0, 10.0, 9.5, 11.0))
    assert elapsed.seconds == 1.0


def test_a_machine_that_was_started_again_goes_on_counting():
    elapsed = Elapsed()
    elapsed.add(arriving(0.0, 30.0, base_ns=9 * HOUR_NS))
    elapsed = Elapsed.from_state(elapsed.state())
    elapsed.add(arriving(20.0, 25.0))
    assert elapsed.seconds == 35.0
