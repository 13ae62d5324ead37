"""The short form of the hostile calibration: on traffic where nothing is wrong, nothing is an alarm."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.hostile import NULLS, World, play

N = 1_500


@pytest.mark.parametrize(
    "name",
    [
        "runs of 500 equal requests",
        "outages each its own, 2 %",
        "failures, each 2 %",
        "two absurd answers of the champion",
    ],
)
def test_a_hostile_null_raises_no_alarm(name):
    world = NULLS[name](np.random.default_rng(10_003), N)
    assert play(world, 3).alarms == {}


def test_what_is_planted_in_the_same_world_is_found():
    rng = np.random.default_rng(1)
    world = World(N, bad=rng.random(N) < 0.02)
    assert "error_rate" in play(world, 1).alarms
