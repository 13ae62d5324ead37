"""Each version is itself and runs its own code: reported cases with their values, on real processes."""

from __future__ import annotations

from pathlib import Path

import clashing
import mlflow
import pytest

from rig.served import Served
from rig.tiny import registered

pytestmark = [
    pytest.mark.live,
    pytest.mark.filterwarnings("ignore"),  # MLflow's and its dependencies' own
]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    store = registered(
        tmp_path_factory.mktemp("clashing"), str(Path(__file__).with_name("clashing.py"))
    )
    client = mlflow.MlflowClient(store.uri, store.uri)
    client.set_registered_model_alias("m", "champ", "1")
    root = tmp_path_factory.mktemp("versions")
    with Served(root, store, "--model", "m", champion="@champ", challengers=(2, 4)) as deployment:
        yield deployment


def ask(served: Served, a: float) -> list[float]:
    told = served.client.post(f"{served.url}/invocations", json={"dataframe_records": [{"a": a}]})
    assert told.status_code == 200, told.text
    return told.json()["predictions"]


def test_ss_001_two_versions_that_ship_one_module_each_run_their_own(served):
    """Champion 10, challenger 20: divergence 10; the control runs the champion's code: 0."""
    for _ in range(20):
        assert ask(served, 10.0) == pytest.approx([10.0])
    served.until(lambda: served.lane(2)["both_ok"] >= 20, "v2 to score everything")
    told = served.report(2)["divergence"]
    assert told["kind"] == "number"
    assert told["measures"]["absolute"]["mean"] == pytest.approx(10.0)
    assert told["measures"]["absolute"]["max"] == pytest.approx(10.0)
    served.until(lambda: served.report(2)["divergence"]["noise_floor"] is not None, "the control")
    assert served.report(2)["divergence"]["noise_floor"] == 0.0


def test_ss_003_shipped_code_shadows_nothing_that_the_server_is_built_on(served):
    """Every version ships an ``orjson`` that ends its process when imported; nobody imported it."""
    assert ask(served, 1.0) == pytest.approx([1.0])
    assert served.lane(2)["crashed"] == 0
    assert served.lane(2)["state"] == "running"


def test_ss_005_an_alias_that_moves_changes_nothing_while_serving(served):
    client = mlflow.MlflowClient(f"sqlite:///{served.store}", f"sqlite:///{served.store}")
    client.set_registered_model_alias("m", "champ", "3")
    assert ask(served, 10.0) == pytest.approx([10.0])
    told = served.client.get(f"{served.url}/readyz").json()
    assert (told["ready"], told["model"]) == (True, "m/1")


def test_ss_004_the_runs_say_which_versions_they_compare(served):
    client = mlflow.MlflowClient(f"sqlite:///{served.store}", f"sqlite:///{served.store}")

    def names() -> set[str]:
        experiment = client.get_experiment_by_name("shadowserve/m")
        found = client.search_runs([experiment.experiment_id]) if experiment else []
        return {run.info.run_name for run in found}

    served.until(lambda: {"v1 vs v2", "v1 vs v1 control"} <= names(), "the runs")


def test_ss_077_087_a_challenger_that_loads_but_cannot_predict_is_degraded_with_its_reason(served):
    """Readiness is the champion's alone."""
    served.until(lambda: served.lane(clashing.BROKEN)["state"] == "degraded", "v4's end")
    assert "AttributeError" in served.lane(clashing.BROKEN)["reason"]
    assert served.client.get(f"{served.url}/readyz").status_code == 200
    assert ask(served, 2.0) == pytest.approx([2.0])
