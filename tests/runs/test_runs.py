"""What a notebook reads is what the lanes wrote."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rig.evidence import (
    CHALLENGER,
    CONTROL,
    close_windows,
    deployment,
    state_directory,
)
from rig.stores import fresh_store
from shadowserve import runs
from shadowserve.errors import RegistryError, UnreachableError
from shadowserve.evidence.writer import Writer

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("served")
    before = Path.cwd()
    os.chdir(folder)  # MLflow lays artifacts beside the working directory
    try:
        uri = fresh_store(folder)
        spoken = deployment(uri, control=True)
        places = state_directory(folder, spoken)
        close_windows(places, CHALLENGER, 3, metrics={"income[EUR]": 2.0})
        close_windows(places, CONTROL, 1)
        writer = Writer(places, spoken, report=lambda *_: {"verdict": "reject", "requests": 30})
        writer.turn()
        writer.publish()
        writer.finish()
    finally:
        os.chdir(before)
    return uri, places


def run_id(uri: str, role: str) -> str:
    found = runs.lanes("it's films", uri)
    return str(found.loc[found["role"] == role, "run_id"].item())


def test_lanes_lists_each_lane_once(served) -> None:
    uri, _ = served
    found = runs.lanes("it's films", uri).set_index("role")
    assert found.loc["challenger", ["name", "champion", "challenger", "verdict", "status"]].tolist() == [
        "v3 vs v4", "v3", "v4", "reject", "FINISHED",
    ]  # fmt: skip
    assert set(found.index) == {"challenger", "control"}


def test_a_model_that_was_never_served_has_no_lanes(served) -> None:
    found = runs.lanes("unheard of", served[0])
    assert len(found) == 0
    assert "run_id" in found


def test_comparisons_come_in_the_order_of_positions_with_dicts(served) -> None:
    uri, places = served
    found = runs.comparisons(run_id(uri, "challenger"), uri)
    assert found["position"].tolist() == list(range(1, 31))
    assert found.loc[6, "sizes"] == {"text": 9_000}
    assert found.loc[6, "lane_steps_ms"] == {"description": 39.0, "estimator": 1.0}
    local = runs.local_comparisons(places.root, "challenger v4")
    assert found.equals(local)


def test_metrics_come_under_their_own_names(served) -> None:
    found = runs.window_metrics(run_id(served[0], "challenger"), served[0])
    values = found[found["name"] == "income[EUR]"]
    assert values["step"].tolist() == [0, 1, 2]
    assert values["value"].tolist() == [2.0, 2.0, 2.0]


def test_the_report_is_the_published_one(served) -> None:
    assert runs.read_report(run_id(served[0], "challenger"), served[0]) == {
        "verdict": "reject",
        "requests": 30,
    }


def test_a_control_has_no_report_and_says_what_to_do(served) -> None:
    with pytest.raises(RegistryError, match="challenger's run"):
        runs.read_report(run_id(served[0], "control"), served[0])


def test_an_unknown_run_is_named_as_unknown(served) -> None:
    with pytest.raises(RegistryError, match="lists the runs"):
        runs.comparisons("0" * 32, served[0])


def test_an_unknown_lane_names_those_there_are(served) -> None:
    with pytest.raises(RegistryError, match="challenger v4, control v3"):
        runs.local_comparisons(served[1].root, "challenger v5")


def test_a_store_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="does not exist"):
        runs.lanes("films", f"sqlite:///{tmp_path}/missing.db")
    assert not (tmp_path / "missing.db").exists()


def test_parts_of_an_older_release_are_read_too(tmp_path: Path) -> None:
    served = deployment("sqlite:///unused.db")
    places = state_directory(tmp_path, served)
    close_windows(places, CHALLENGER, 2)
    own = places.lane(CHALLENGER.role, CHALLENGER.version).parts
    oldest = min(own.glob("*.parquet"))
    pq.write_table(pq.read_table(oldest).drop_columns(["lane_scores", "lag_ms"]), oldest)
    found = runs.local_comparisons(places.root, "challenger v4")
    assert found["position"].tolist() == list(range(1, 21))
    assert found["lag_ms"].isna().tolist() == [True] * 10 + [False] * 10
