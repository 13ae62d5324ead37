"""How long ago something was, whatever is done to the clock."""

from __future__ import annotations

import time

import pytest

from shadowserve.host.instant import SLACK_S, Instant

NOON = Instant(1_000_000.0, "this start", 500.0)
HOUR = 3_600.0


def later(*, wall_s: float, up_s: float | None = None) -> Instant:
    """The wall clock moved by so much; up_s None: the machine was started anew meanwhile."""
    if up_s is None:
        return Instant(NOON.wall_s + wall_s, "the next start", 5.0)
    return Instant(NOON.wall_s + wall_s, NOON.boot, NOON.up_s + up_s)


@pytest.mark.parametrize(
    ("now", "lasted"),
    [
        (later(wall_s=HOUR - 1, up_s=HOUR - 1), False),
        (later(wall_s=HOUR, up_s=HOUR), True),
        (later(wall_s=-30 * 86_400.0, up_s=HOUR - 1), False),  # set back a month
        (later(wall_s=-30 * 86_400.0, up_s=HOUR), True),
        (later(wall_s=HOUR, up_s=10.0), True),  # set forward, or a machine that was frozen
        (later(wall_s=HOUR - 1), False),
        (later(wall_s=HOUR), True),
        (later(wall_s=-SLACK_S / 2), False),
        (later(wall_s=-HOUR), True),  # started anew with a clock of long ago: it tells nothing
    ],
)
def test_of_two_clocks_the_first_to_say_that_time_is_over_is_believed(now, lasted):
    assert NOON.has_lasted(HOUR, now) is lasted


def test_without_a_kernel_that_counts_there_is_the_wall_clock():
    noon = Instant(1_000_000.0)
    assert not noon.has_lasted(HOUR, Instant(1_000_000.0 + HOUR - 1))
    assert noon.has_lasted(HOUR, Instant(1_000_000.0 + HOUR))
    assert noon.has_lasted(HOUR, Instant(0.0))


def test_now_is_now_and_is_read_back_as_it_was_written():
    now = Instant.now()
    assert abs(now.wall_s - time.time()) < 60
    assert Instant.of(now.to_dict()) == now
    assert not now.has_lasted(HOUR, Instant.now())
