"""Draining: lanes are given time to score what is in the journal before a stop goes on."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence

from shadowserve.journal import reader
from shadowserve.legible import counted
from shadowserve.state.lane_reading import snapshot
from shadowserve.state.places import Places
from shadowserve.supervisor.watch import LaneWatch

DRAIN_S = 20.0
TURN_S = 0.05


def drain(
    places: Places,
    lanes: Sequence[LaneWatch],
    *,
    is_cut_short: Callable[[], bool],
    say: Callable[[str], None],
) -> None:
    """Look after the lanes until the journal is scored, or the time is over.

    Parameters
    ----------
    is_cut_short : callable
        Whether somebody asked for the end at once.
    say : callable
        Tells what is left.
    """
    until = time.monotonic() + DRAIN_S
    with contextlib.suppress(OSError):  # a full disk; lanes that stand still drain nothing
        places.draining.touch(mode=0o600)
    while time.monotonic() < until and not is_cut_short() and pending(places, lanes):
        for watch in lanes:
            watch.look()
        time.sleep(TURN_S)
    left = pending(places, lanes)
    if left:
        say(
            f"{counted(left, 'request is', 'requests are')} left in the journal; "
            "the next start scores what lanes still lack."
        )


def pending(places: Places, lanes: Sequence[LaneWatch]) -> int:
    """Return how many requests some working lane has not scored yet."""
    bound = reader.extent(places.journal).last
    cursors = [
        snapshot(watch.places.state, whole=False).cursor for watch in lanes if not watch.degraded
    ]
    if not cursors:
        return 0
    lowest = {worker: min(cursor.get(worker, 0) for cursor in cursors) for worker in bound}
    return reader.backlog(places.journal, cursor=lowest, bound=bound).pending
