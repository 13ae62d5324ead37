"""Challengers that the server's libraries cannot load run beside a champion that they can."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import psutil
import pytest

from rig import elsewhere
from rig.served import Served, run
from shadowserve.errors import ModelError
from shadowserve.scorer import scoring

pytestmark = [
    pytest.mark.live,
    pytest.mark.filterwarnings("ignore"),  # MLflow's and its dependencies' own
]

OLDER, LACKING = 2, 3
N = 40


@pytest.fixture(scope="module")
def made():
    """One environment for both, of another scikit-learn, with a package that the server lacks."""
    return elsewhere.environment()


@pytest.fixture(scope="module")
def served(tmp_path_factory, made):
    store = elsewhere.registered(tmp_path_factory.mktemp("elsewhere"), made)
    root = tmp_path_factory.mktemp("isolated")
    flags = ("--model", "far", "--isolate", "v2", "--isolate", "far:3", "--strict-versions")
    with Served(root, store, *flags, challengers=(OLDER, LACKING)) as deployment:
        yield deployment


def ask(served):
    record = {"x": 1.0, "city": "Oslo", "note": "good film"}
    told = served.client.post(f"{served.url}/invocations", json={"dataframe_records": [record]})
    assert told.status_code == 200, told.text


def isolated_pid(served, version):
    lane = served.lane_pid(version)
    children = psutil.Process(lane).children() if lane else []
    return next((one.pid for one in children if "entry.py" in " ".join(one.cmdline())), 0)


@pytest.mark.parametrize("kind", ["pipeline", "lacking"])
def test_the_server_itself_cannot_load_them(made, tmp_path, kind):
    path = elsewhere.trained(tmp_path / kind, made, kind)
    version = elsewhere.version(path)
    with pytest.raises(ModelError):
        scoring.open_version(version, path, champion=version)


def test_both_are_compared_like_any_other_challenger(served):
    for _ in range(N):
        ask(served)
    for version in (OLDER, LACKING):
        served.until(
            lambda v=version: served.lane(v)["both_ok"] >= N, f"v{version} to score everything"
        )
        assert served.lane(version)["state"] == "running"
    told = served.report(OLDER)
    steps = {row["step"] for row in told["features"] if row["role"] == "challenger"}
    assert {"features/number", "features/city", "features/note", "line"} <= steps
    assert told["divergence"]["kind"] == "number"
    # The same rows, the same estimator, another release of the library.
    assert told["divergence"]["measures"]["absolute"]["max"] < 1e-6


def test_status_and_report_say_in_what_they_run(served, made):
    told = json.loads(run("status", "--json", "--state-dir", str(served.state)).stdout)
    assert [one["version"] for one in told["isolated"]] == [OLDER, LACKING]
    (older, lacking) = told["isolated"]
    assert older["libraries"]["scikit-learn"] == "1.5.2"
    assert older["path"] == lacking["path"] == made.path
    assert served.report(OLDER)["isolated"] == older
    assert any("runs isolated" in note for note in served.report(OLDER)["notes"])
    lines = run("status", "--state-dir", str(served.state)).stdout
    assert "challenger v2 runs isolated: Python 3.11" in " ".join(lines.split())


def test_what_runs_there_has_imported_nothing_of_the_servers(made):
    assert not {"mlflow", "bentoml", "click", "pyarrow", "orjson", "pyyaml"} & set(made.libraries)


def test_a_version_that_is_killed_is_started_again_and_every_request_has_an_outcome(served):
    before = served.lane(LACKING)["both_ok"]
    pid = isolated_pid(served, LACKING)
    os.kill(pid, signal.SIGKILL)
    for _ in range(N):
        ask(served)
    served.until(lambda: served.lane(LACKING)["both_ok"] >= before + N, "v3 to go on")
    assert isolated_pid(served, LACKING) not in (0, pid)
    assert served.ledger()["balanced"]


def test_an_environment_that_was_deleted_is_made_again_before_the_next_start(served, made):
    moved = Path(f"{made.path}.moved")
    shutil.move(made.path, moved)
    try:
        os.kill(isolated_pid(served, OLDER), signal.SIGKILL)
        maker = f"shadowserve environment challenger v{OLDER}"
        served.until(
            lambda: served.titled(maker) or Path(made.path).exists(), "its environment to be made"
        )
        ask(served)  # the champion serves on
    finally:
        if not Path(made.path).exists():
            os.kill(served.titled(maker), signal.SIGSTOP)
            shutil.move(moved, made.path)
            os.kill(served.titled(maker), signal.SIGKILL)
    served.until(lambda: isolated_pid(served, OLDER), "v2 to be started again")
