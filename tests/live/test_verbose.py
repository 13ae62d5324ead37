"""`serve --verbose` on a real deployment: every process tells, and its parts add up."""

from __future__ import annotations

import re

import pytest

from rig.served import Served

pytestmark = pytest.mark.live


def test_a_start_says_what_each_of_its_processes_did(tmp_path, store):
    with Served(tmp_path, store, "--verbose") as served:
        served.until(lambda: "evidence writer " in served.said(), "the table is told")
        said = [line for line in served.said().splitlines() if " imports " in line]
    first = [line.split("  ")[0].strip() for line in said]
    assert {"supervisor", "champion worker 0", "console"} <= set(first)
    assert sum(name.startswith("lane ") for name in first) >= 1
    for line in said:
        begin, end, parts = re.fullmatch(r".*?\s+(\d+\.\d\d)\s+(\d+\.\d\d)\s+(.*)", line).groups()
        seconds = [float(part.rpartition(" ")[2]) for part in parts.split(", ")]
        # Each is rounded to a hundredth.
        assert sum(seconds) == pytest.approx(float(end) - float(begin), abs=0.01 * len(seconds))
        assert all(one >= 0 for one in seconds)
    worker = next(line for line in said if line.startswith("champion worker 0"))
    for stage in ("libraries", "pins awaited", "files", "loading", "trying", "warming", "opening"):
        assert f"{stage} " in worker
    assert "--verbose" not in served.said()
