"""Several processes score for one version: their deaths cost a try, and nothing is lost or counted twice."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import pytest

from rig import tiny
from rig.served import Load, Served

pytestmark = [pytest.mark.live, pytest.mark.timeout(400)]

KILLS = 2  # `benchmarks.lane_deaths` is the long run


@pytest.mark.parametrize("victim", ["scorer", "lane"])
def test_what_is_killed_under_load_loses_nothing_and_counts_nothing_twice(tmp_path, store, victim):
    options = ("--no-control", "--lane-processes", "2")
    with Served(tmp_path, store, *options) as served:
        with Load(served, callers=8, pause_s=0.05) as load:
            for _ in range(KILLS):
                served.until(lambda: served.scorers(), "a scorer at work")
                asked, before = load.n, served.lane(tiny.BETTER)["both_ok"]
                served.until(lambda asked=asked: load.n > asked + 200, "more requests")
                served.until(
                    lambda before=before: served.lane(tiny.BETTER)["both_ok"] > before,
                    "the lane to go on",
                )
                living = served.scorers()
                pid = (
                    living[0].pid if victim == "scorer" and living else served.lane_pid(tiny.BETTER)
                )
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        ledger = served.settled()
        assert ledger["balanced"]
        assert set(load.told) == {"200"}
        assert load.wrong == 0
        lane = served.lane(tiny.BETTER)
        assert lane["both_ok"] == load.n  # a killed try is made again, never twice counted
        assert served.report()["requests"] == load.n
