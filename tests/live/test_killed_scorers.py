"""Several processes score for one version: their deaths cost a try, and nothing is lost or counted twice.

The short form of `benchmarks.lane_deaths`.
"""

from __future__ import annotations

import pytest

from benchmarks.lane_deaths import run

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]


def test_what_is_killed_under_load_loses_nothing_and_counts_nothing_twice(tmp_path, store):
    outcome = run(tmp_path / "run", store, kills=8, seed=3)
    assert outcome.faults == [], str(outcome)
    assert sum(outcome.killed.values()) == 8
