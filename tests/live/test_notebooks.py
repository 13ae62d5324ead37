"""What a real deployment leaves in MLflow: notebooks run on it, and its report is what it should be."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from jsonschema import Draft202012Validator
from nbclient import NotebookClient

import shadowserve
from rig import tiny
from rig.served import Load, Served
from shadowserve.errors import RegistryError, SettingsError

# The first test waits for a whole deployment, which counts as its own time.
pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def evidence(tmp_path_factory, store) -> Path:
    """The directory of a deployment that has scored some hundreds of requests and stopped."""
    root = tmp_path_factory.mktemp("notebook")
    with Served(root, store) as served:
        with Load(served) as load:
            served.until(lambda: load.n >= 200, "200 answers")
        served.settled()
        assert served.stop() == 0
    return root


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Jupyter's own, of its paths and sockets
def test_a_notebook_runs_on_what_a_deployment_left(path, evidence, monkeypatch):
    monkeypatch.chdir(evidence)
    monkeypatch.setenv("SHADOWSERVE_MODEL", "tiny")
    monkeypatch.setenv("SHADOWSERVE_STATE_DIR", str(evidence / "state"))
    monkeypatch.delenv("MPLBACKEND", raising=False)  # the kernel's own shows figures in cells
    notebook = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": str(evidence)}}
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources=place).execute()
    shown = nbformat.writes(notebook)
    assert "v1 vs v" in shown
    assert shown.count('"image/png"') >= 2


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs_and_defines_nothing(path):
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    assert [cell.outputs for cell in cells if cell.outputs] == []
    assert [cell.execution_count for cell in cells if cell.execution_count is not None] == []
    lines = [line.split() for cell in cells for line in cell.source.splitlines() if line.strip()]
    assert [words for words in lines if words and words[0] in ("def", "class")] == []


@pytest.mark.filterwarnings("ignore")  # MLflow's own, when it is first imported
def test_the_published_report_is_what_the_published_schema_says(evidence):
    store = f"sqlite:///{evidence}/mlflow.db"
    runs = shadowserve.lanes("tiny", store)
    (run_id,) = runs.loc[runs["role"] == "challenger", "run_id"]
    told = shadowserve.read_report(run_id, store)
    assert told["compared"] >= 200
    schema = json.loads((ROOT / "docs/report.schema.json").read_text())
    assert [fault.message for fault in Draft202012Validator(schema).iter_errors(told)] == []


def test_a_request_is_scored_again_by_both_versions_and_walked_side_by_side(evidence):
    state = evidence / "state"
    here = shadowserve.replayable_requests(state)
    assert len(here) >= 1
    place = int(here["position"].iloc[0])
    again = shadowserve.replay_request(state, place)
    assert again.as_answered
    assert (again.champion, again.challenger) == (f"v{tiny.CHAMPION}", f"v{tiny.BETTER}")
    assert again.answers.keys() == {"champion", "challenger"}
    assert again.steps["same"].notna().any()
    known = here.dropna(subset="request_id").iloc[0]
    by_id = shadowserve.replay_request(state, known["request_id"], show_values=True)
    assert by_id.position == known["position"]
    # Values stay home until they are asked for.
    assert set(again.inputs.values()) == {None}
    assert None not in by_id.inputs.values()
    assert set(again.visible) < set(by_id.visible) == set(by_id.steps.index)
    with pytest.raises(SettingsError, match="show_values=True"):
        again.values(next(step for step in again.steps.index if step not in again.visible))
    assert len(by_id.values(by_id.visible[0])) >= 1


def test_what_is_not_here_any_longer_is_told_as_that(evidence):
    for request, told in ((10**9, "no longer here"), ("who?", "No request with the id 'who\\?'")):
        with pytest.raises(RegistryError, match=told):
            shadowserve.replay_request(evidence / "state", request)
    with pytest.raises(RegistryError, match="No deployment in"):
        shadowserve.replayable_requests(evidence)


def test_the_demos_notebook_is_among_them():
    assert {"explore_divergence", "replay_a_request", "slow_features"} <= {
        path.stem for path in NOTEBOOKS
    }
