"""`shadowserve rescore` on what a real deployment served: the same comparisons, through kills, into MLflow."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import mlflow
import pandas as pd
import pytest

from rig import tiny
from rig.served import COMMAND, Served, run
from shadowserve.journal.segment_file import segments

pytestmark = pytest.mark.live

N = 1_100
SAME = [
    "outcome",
    "disagreement",
    "exact",
    "tolerant",
    "structure",
    "champion_prediction",
    "lane_prediction",
]


def comparisons(state, version: int) -> pd.DataFrame:
    files = sorted(state.glob(f"lanes/challenger-v{version}/comparisons/*.parquet"))
    rows = pd.concat([pd.read_parquet(file) for file in files])
    return rows.set_index("request_id").sort_index()[SAME]


@pytest.fixture(scope="module")
def served(tmp_path_factory, store) -> Served:
    """A deployment that has served, and kept what it served."""
    one = Served(tmp_path_factory.mktemp("kept"), store, "--keep-journal", "7d", "--no-control")
    with one:
        for first in range(0, N, 4):
            rows = [
                tiny.row((n % 601 - 300) / 100, "n" * (1 + n % 7)) for n in range(first, first + 4)
            ]
            for n, row in enumerate(rows, start=first):
                one.client.post(
                    f"{one.url}/invocations",
                    json={"dataframe_records": [row]},
                    headers={"X-Request-ID": f"r{n:04}"},
                ).raise_for_status()
        one.settled()
        one.stop()
    return one


def command(served: Served, *more: str) -> list[str]:
    return [
        "rescore", "archive", "--model", "tiny", "--champion", "1", "--challenger", str(tiny.BETTER),
        "--tracking-uri", f"sqlite:///{served.store}", "--state-dir", str(served.state), *more,
    ]  # fmt: skip


def test_what_was_served_is_rescored_to_the_same_also_by_a_command_that_was_killed(served):
    killed = subprocess.Popen(
        [COMMAND, *command(served)], cwd=served.root, stderr=subprocess.DEVNULL, env=os.environ
    )
    (root,) = _until(lambda: list((served.state / "rescored").glob("*")))
    _until(lambda: list(root.glob("lanes/challenger-v8/comparisons/*.parquet")))
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    done = run(*command(served, "--json"), cwd=served.root)
    told = json.loads(done.stdout)
    assert "Resumed" in done.stderr
    (report,) = told["reports"]
    assert done.returncode == {"promote": 0, "continue": 1, "reject": 3}[report["verdict"]]
    assert (report["compared"], report["latency"], report["rescored"]) == (N, {}, "archive")
    assert any("latency was not judged" in note for note in report["notes"])
    assert "latency" not in {limit["name"] for limit in report["judgement"]["limits"]}
    pd.testing.assert_frame_equal(comparisons(root, 8), comparisons(served.state, 8), rtol=1e-9)
    assert not [one for one in segments(root / "journal") if one.bytes > 2**16]
    client = mlflow.MlflowClient(f"sqlite:///{served.store}")
    (experiment,) = client.search_experiments(filter_string="name = 'shadowserve/tiny'")
    runs = client.search_runs([experiment.experiment_id])
    rescored = [one for one in runs if one.data.tags.get("shadowserve.rescored") == "archive"]
    names = {one.info.run_name for one in rescored}
    assert names == {"v1 vs v8", "v1 vs v1 control"}
    assert not any(name.startswith("latency_ms/") for one in rescored for name in one.data.metrics)
    other = run(*[word if word != "1" else "8" for word in command(served)], cwd=served.root)
    assert other.returncode == 2
    assert "recorded answers are tiny:1's" in other.stderr


def _until(found):
    until = time.monotonic() + 120
    while not (there := found()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return there
