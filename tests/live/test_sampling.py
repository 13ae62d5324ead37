"""The share of the traffic that a lane of a real deployment scores."""

from __future__ import annotations

import pytest

from rig.served import Served

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]


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
