"""What archived deployments left is delivered beside today's, and troubles nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from rig.evidence import (
    CHALLENGER,
    client,
    close_windows,
    comparison,
    deployment,
    state_directory,
)
from rig.stores import fresh_store
from shadowserve.evidence.archived import Archived
from shadowserve.evidence.carrying import Carrier
from shadowserve.evidence.outstanding import outstanding
from shadowserve.evidence.writer import Writer
from shadowserve.lane import windows
from shadowserve.records import Outcome
from shadowserve.state import arrival
from shadowserve.state import deployment as deployments
from shadowserve.state.lane_file import LaneState, Progress
from shadowserve.state.places import Places

pytestmark = pytest.mark.live


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return fresh_store(tmp_path)


def runs(uri: str) -> dict:
    """The runs by deployment."""
    found = client(uri).get_experiment_by_name("shadowserve/it's films")
    experiment = [found.experiment_id] if found else []
    return {
        run.data.tags["shadowserve.deployment"]: run
        for run in (client(uri).search_runs(experiment) if experiment else [])
    }


def left(uri: str, folder: Path, *, name: str = "films-left") -> tuple[Places, object]:
    """A state directory, and a deployment in it that is to be archived."""
    served = deployment(uri, id=name)
    return state_directory(folder, served), served


def leave_open(places: Places, n: int) -> None:
    """Let a lane score a few requests and be killed."""
    lane = places.lane(CHALLENGER.role, CHALLENGER.version)
    state = LaneState(lane.state)
    rows = [comparison(place, 0) for place in range(1, n + 1)]
    state.commit(
        Progress(
            outcomes={Outcome.BOTH_OK: n},
            cursor={0: n},
            comparisons=[(row.position, 0, windows.encode(row)) for row in rows],
        )
    )
    state.close()


def test_a_small_deployment_that_closed_no_window_leaves_its_evidence_all_the_same(
    uri: str, tmp_path: Path
) -> None:
    places, served = left(uri, tmp_path)
    leave_open(places, 7)
    assert outstanding(places, served) == 1
    deployments.archive(places, served)
    Archived(places).turn()
    (run,) = runs(uri).values()
    assert run.data.metrics["ledger/requests"] == 7
    assert run.info.status == "FINISHED"
    assert Archived(places).told() == []  # and it is done once


def test_a_run_that_a_kill_left_going_on_is_finished_when_its_last_window_ended(
    uri: str, tmp_path: Path
) -> None:
    places, served = left(uri, tmp_path)
    (window,) = close_windows(places, CHALLENGER, 1)
    Writer(places, served).turn()  # and killed before it could finish
    assert next(iter(runs(uri).values())).info.status == "RUNNING"
    deployments.archive(places, served)
    Archived(places).turn()
    run = next(iter(runs(uri).values()))
    assert (run.info.status, run.info.end_time) == ("FINISHED", window.closed_ns // 10**6)


def test_an_archived_deployment_whose_run_was_deleted_troubles_no_other(
    uri: str, tmp_path: Path
) -> None:
    places, served = left(uri, tmp_path)
    close_windows(places, CHALLENGER, 1)
    Writer(places, served).turn()
    client(uri).delete_run(runs(uri)["films-left"].info.run_id)
    close_windows(places, CHALLENGER, 2)
    deployments.archive(places, served)
    today = deployment(uri, id="films-today")
    state_directory(tmp_path, today)
    close_windows(places, CHALLENGER, 2)
    carrier = Carrier(places, today)
    for _ in range(2):
        assert carrier._attempt(carrier._turn)
    seen = arrival.read(places.arrival)
    assert (seen.state, seen.arrived, seen.waiting) == ("shipping", 2, 0)
    (late,) = seen.late
    assert (late.deployment, late.waiting) == ("films-left", 2)
    assert "restore" in (late.reason or "")
    assert "films-left" in str(seen)


def test_what_cannot_be_delivered_is_tried_more_and_more_seldom(tmp_path: Path) -> None:
    places, served = left(f"sqlite:///{tmp_path}/none.db", tmp_path)
    close_windows(places, CHALLENGER, 1)
    deployments.archive(places, served)
    now = [0.0]
    it = Archived(places, clock=lambda: now[0])
    tries = []
    for second in range(4_000):
        now[0] = float(second)
        before = it._shelves[0].failures
        it.turn()
        if it._shelves[0].failures > before:
            tries.append(second)
    assert tries == [0, 30, 90, 210, 450, 930, 1890, 3810]
    assert it.told()[0]["waiting"] == 1


def test_a_start_proves_that_what_it_writes_comes_back(uri: str, tmp_path: Path) -> None:
    """Before any window is closed: a store that refuses is told within seconds of the start."""
    served = deployment(uri, options={"sample_rate": 0.25})
    places = state_directory(tmp_path, served)
    carrier = Carrier(places, served)
    assert carrier._attempt(carrier._turn)
    run = runs(uri)[served.id]
    assert run.data.tags["shadowserve.start"] == served.start
    text = Path(client(uri).download_artifacts(run.info.run_id, "start.json", str(tmp_path)))
    assert '"sample_rate": 0.25' in text.read_text()


def test_a_store_that_takes_runs_and_no_files_is_told_at_the_start(
    uri: str, tmp_path: Path
) -> None:
    served = deployment(uri)
    places = state_directory(tmp_path, served)
    (tmp_path / "mlruns").write_text("")  # where the artifacts would lie
    carrier = Carrier(places, served)
    assert not carrier._attempt(carrier._turn)
    assert arrival.read(places.arrival).troubled
