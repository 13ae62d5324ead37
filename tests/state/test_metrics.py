"""What Prometheus sees: all processes together, counts as the ledger has them."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from prometheus_client.parser import text_string_to_metric_families

from rig.deployment import made
from shadowserve.records import PHASES
from shadowserve.state.counters import Counters
from shadowserve.state.metrics import exposition

OBSERVING = """
import sys
from shadowserve.state.metrics import RoleMetrics, observe_response
from shadowserve.records import Times
series = RoleMetrics(sys.argv[1], int(sys.argv[2]), steps=["scale", "model"])
for _ in range(3):
    series.observe(Times(phases_ns=(1, 2, 2, 3_000_000, 4, 5), wall_ns=(10**6, 2 * 10**6)))
observe_response(200, 250_000_000)
"""


def observe(directory, role, version):
    environ = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(directory)}
    subprocess.run([sys.executable, "-c", OBSERVING, role, str(version)], env=environ, check=True)


def samples(places, directory):
    text = exposition(places, directory).decode()
    return {
        (one.name, *sorted(one.labels.items())): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def test_every_series_of_every_process_moves(tmp_path):
    """Champion, challenger and control; each phase and each step (SS-076)."""
    places, directory = made(tmp_path / "state"), tmp_path / "maps"
    directory.mkdir()
    roles = [("champion", 3), ("champion", 3), ("challenger", 4), ("control", 3)]
    for role, version in roles:
        observe(directory, role, version)
    found = samples(places, directory)
    for role, version, n in (("champion", "3", 6), ("challenger", "4", 3), ("control", "3", 3)):
        labels = [("role", role), ("version", version)]
        for phase in PHASES:
            key = ("shadowserve_phase_seconds_count", *sorted([*labels, ("phase", phase)]))
            assert found[key] == n
        for step in ("scale", "model"):
            key = ("shadowserve_step_seconds_count", *sorted([*labels, ("step", step)]))
            assert found[key] == n
    assert found["shadowserve_response_seconds_sum", ("status", "200")] == 1.0


def test_counts_are_those_of_all_workers(tmp_path):
    places = made(tmp_path)
    for worker in (0, 1):
        counted = Counters(places.counters(worker))
        counted.add("rejected", 3)
        counted.add("nonfinite", 5)
        counted.journal_step(answered=2, failed=1, appended=2, append_failed=1, sequence=2)
        counted.close()
    (tmp_path / "maps").mkdir()
    found = samples(places, tmp_path / "maps")
    told = {key[1][1]: value for key, value in found.items() if key[0] == "shadowserve_requests_total"}  # fmt: skip
    assert told == {
        "answered": 4, "failed": 2, "rejected": 6, "overloaded": 0, "client_gone": 0,
        "turned_away": 0, "not_ready": 0, "timed_out": 0, "lost": 0, "replay_rejected": 0, "appended": 4,
        "append_failed": 2,
    }  # fmt: skip
    assert found["shadowserve_nonfinite_values_total",] == 10
    assert ("shadowserve_last_own_request_age_seconds",) not in found


def test_it_tells_how_long_ago_a_caller_came_and_no_replay_counts(tmp_path):
    places, now_ns = made(tmp_path), time.time_ns()
    step = {"failed": 0, "append_failed": 0}
    for worker, (ago_s, replayed) in enumerate([(500, 0), (100, 2), (3_600, 1)]):
        counted = Counters(places.counters(worker))
        own_ns = now_ns - ago_s * 10**9
        counted.journal_step(**step, answered=2, appended=2, sequence=2, replayed=replayed, own_ns=own_ns)  # fmt: skip
        counted.journal_step(**step, answered=5, appended=5, sequence=7, replayed=5)
        counted.close()
    (tmp_path / "maps").mkdir()
    found = samples(places, tmp_path / "maps")
    assert 100 <= found["shadowserve_last_own_request_age_seconds",] < 400
    assert found["shadowserve_replayed_requests_total",] == 18
