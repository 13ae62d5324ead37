"""A replay against a real deployment: scored by champion and lanes, counted apart, seen by no report."""

from __future__ import annotations

import json

import pytest

from rig.served import Served, run

pytestmark = pytest.mark.live

N = 80


def test_what_is_replayed_loads_everything_and_decides_nothing(tmp_path, store):
    with Served(tmp_path, store) as served:
        for n in range(N):
            assert served.post(note="n" * (1 + n % 9), x=n / 7).status_code == 200
        assert served.client.post(f"{served.url}/invocations", json={"dataframe_records": [{"x": 1.0}]}).status_code == 400  # fmt: skip
        before = served.settled()
        told = served.report()

        def replay(*arguments):
            given = ("replay", "journal", "--to", served.url, "--state-dir", str(served.state))
            return run(*given, "--json", *arguments)

        refused = replay()
        assert (refused.returncode, "--into-live" in refused.stderr) == (2, True)
        assert served.ledger()["champion"]["answered"] == N
        again = replay("--into-live", "--speed", "4")
        assert again.returncode == 0, again.stderr
        assert json.loads(again.stdout)["statuses"] == {"200": N}
        capacity = replay("--into-live", "--find-capacity", "--step", "2s", "--rate", "30", "--most-rate", "40")  # fmt: skip
        assert capacity.returncode == 0, capacity.stderr
        found = json.loads(capacity.stdout)
        after = served.settled()
        tried = sum(round(2 * step["per_s"]) for step in found["steps"])
        assert after["balanced"]
        assert after["champion"]["replayed"] == N + tried
        assert after["champion"]["answered"] == before["champion"]["answered"] + N + tried
        assert after["champion"]["rejected"] == before["champion"]["rejected"] == 1
        for lane, was in zip(after["lanes"], before["lanes"], strict=True):
            assert lane["replayed"] == N + tried
            assert [lane[name] for name in ("both_ok", "sampled_out")] == [
                was[name] for name in ("both_ok", "sampled_out")
            ]
        now = served.report()
        for name in ("requests", "compared", "divergence", "verdict"):
            assert now[name] == told[name]
        metrics = served.client.get(f"{served.url}/metrics").text
        assert f"shadowserve_replayed_requests_total {float(N + tried)}" in metrics
