"""Milestones: near, bounded, and exact for one worker."""

from __future__ import annotations

import json

from shadowserve.comparison.milestones import Milestones
from shadowserve.records import position


def test_milestones_are_near_and_bounded_however_long_the_traffic():
    seen = Milestones()
    for at in range(0, 60_000, 2):
        pair = [position(0, at // 2 + 1), position(1, at // 2 + 1)]
        seen.add(pair, [at * 10**9, (at + 1) * 10**9])
    assert max(len(notes) for notes in seen._notes.values()) <= 257
    for sequence in (1, 777, 12_345, 30_000):
        found = seen.locate(position(1, sequence))
        assert abs(found.number - 2 * sequence) < 600
        assert abs(found.arrived_wall_ns / 1e9 - 2 * sequence) < 600
    again = Milestones.from_state(json.loads(json.dumps(seen.state())))
    assert again.locate(position(1, 777)) == seen.locate(position(1, 777))


def test_one_worker_counts_exactly():
    seen = Milestones()
    seen.add(list(range(1, 1_000)), list(range(1, 1_000)))
    assert (seen.locate(537).number, seen.locate(537).is_exact) == (537, True)
    assert Milestones().locate(5) is None
