"""A lane's bounds on a real deployment: the memory it may take, and the share of the traffic it scores."""

from __future__ import annotations

import pytest

from rig import tiny
from rig.served import Load, Served

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]


def test_a_leak_is_stopped_at_the_limit_and_named(tmp_path, store):
    """F15: a megabyte a request; the champion's answers do not change."""
    options = ("--lane-memory", "950MiB", "--no-control")
    with Served(tmp_path, store, *options, challengers=(tiny.LEAKY,)) as served:
        first = served.lane_pid(tiny.LEAKY)
        with Load(served, callers=1) as load:
            served.until(lambda: load.n >= 50, "warming")
        leaked = [served.post("leak" * 3).status_code for _ in range(720)]
        assert set(leaked) | set(map(int, load.told)) == {200}
        told = served.settled()
        assert told["balanced"]
        assert served.lane_pid(tiny.LEAKY) != first
        (mine,) = told["lanes"]
        assert mine["both_ok"] + mine["crashed"] == told["journal"]["appended"]
        assert served.findings("memory_growth", tiny.LEAKY)


@pytest.mark.parametrize("rate", ["0", "0.3"])
def test_the_sample_rate_is_exact_at_zero_and_decided_by_request(tmp_path, store, rate):
    with Served(tmp_path, store, "--sample-rate", rate, "--no-control") as served:
        for i in range(200):
            assert served.post(**{"X-Request-ID": f"id-{i}"}).status_code == 200
        told = served.settled()
        first = told["lanes"][0]
        assert first["sampled_out"] + first["both_ok"] == 200
        if rate == "0":
            assert first["sampled_out"] == 200
        else:
            assert 100 < first["sampled_out"] < 180
        for i in range(200):
            assert served.post(**{"X-Request-ID": f"id-{i}"}).status_code == 200
        assert served.settled()["lanes"][0]["sampled_out"] == 2 * first["sampled_out"]
