"""Challengers that the server's libraries cannot load run beside a champion that they can, or join it so."""

from __future__ import annotations

import json

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
    flags = ("--model", "far", "--isolate", "v2", "--strict-versions")
    with Served(root, store, *flags, challengers=(OLDER,)) as deployment:
        joins = ("challengers", "add", "v3", "--isolate", "--state-dir", str(deployment.state))
        done = run(*joins, timeout_s=300)
        assert done.returncode == 0, done.stderr
        assert "far:3 runs isolated: Python 3.11" in done.stderr
        yield deployment


def ask(served):
    record = {"x": 1.0, "city": "Oslo", "note": "good film"}
    told = served.client.post(f"{served.url}/invocations", json={"dataframe_records": [record]})
    assert told.status_code == 200, told.text


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
    assert "hallenger v2 runs isolated: Python 3.11" in " ".join(lines.split())
