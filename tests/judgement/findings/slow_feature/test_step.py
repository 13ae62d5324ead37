"""Slow calls must keep coming: a cold cache, however long it was cold, is no finding."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from rig.slow_steps import (
    put,
    slow,
)


def test_a_cold_cache_that_was_most_of_the_traffic_so_far_is_no_finding(known):
    put(known.learned, "lane", np.where(np.arange(100) < 80, 25.0, 0.2))
    put(known.learned, "champion", np.full(100, 0.2))
    assert slow(dataclasses.replace(known, control=None)) == []


def test_a_cold_cache_is_slow_in_one_stretch_only_and_no_finding(known):
    n = 2_000
    put(known.learned, "lane", np.where(np.arange(n) < 50, 60.0, 0.2))
    put(known.learned, "champion", np.full(n, 0.2))
    assert slow(known) == []


@pytest.mark.parametrize("cold", [105, 130, 160])
def test_a_cold_cache_that_reached_over_three_stretches_is_over(known, cold):
    """A lane that caught up scored its first requests in batches: eighty calls were more requests."""
    put(known.learned, "lane", np.where(np.arange(200) < cold, 25.0, 0.2))
    put(known.learned, "champion", np.full(200, 0.2))
    assert slow(dataclasses.replace(known, control=None)) == []
