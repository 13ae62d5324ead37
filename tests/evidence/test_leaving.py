"""Evidence of challengers that come and go: each stay has a run, and what has left is brought to the end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rig.evidence import CHALLENGER, client, close_windows, deployment, state_directory, version
from rig.stores import fresh_store
from shadowserve.evidence.carrying import Carrier
from shadowserve.evidence.outstanding import outstanding
from shadowserve.evidence.writer import Writer
from shadowserve.records import Role
from shadowserve.state import deployment as deployments
from shadowserve.state import joining
from shadowserve.state.deployment import LaneName
from shadowserve.state.lane_condition import Condition

pytestmark = pytest.mark.live

FIVE = LaneName(Role.CHALLENGER, 5)
AT = "2026-01-02T00:00:00+00:00"


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    return fresh_store(tmp_path)


def join(places, number: int) -> None:
    served = deployments.read(places)
    wanted = joining.joined(served, version(number), path="", at=AT)
    joining.begin(places, wanted.lane_of(number), after={})
    deployments.write(places, wanted)


def leave(places, number: int) -> None:
    deployments.write(places, joining.without(places, deployments.read(places), number, at=AT))


def ended(places, name: LaneName) -> None:
    Condition("left").write(places.lane(name.role, name.version, name.stay))


def runs(uri: str) -> dict[str, str]:
    (found,) = client(uri).search_experiments(filter_string="name LIKE 'shadowserve/%'")
    return {
        run.info.run_name: run.info.status for run in client(uri).search_runs([found.experiment_id])
    }


def windows(uri: str, name: str) -> list[int]:
    (found,) = client(uri).search_experiments(filter_string="name LIKE 'shadowserve/%'")
    (run,) = client(uri).search_runs([found.experiment_id], f"attributes.run_name = '{name}'")
    return [p.step for p in client(uri).get_metric_history(run.info.run_id, "ledger/requests")]


def test_a_newcomers_evidence_arrives_without_a_restart_and_ends_when_it_leaves(uri, tmp_path):
    served = deployment(uri)
    places = state_directory(tmp_path, served)
    close_windows(places, CHALLENGER, 1)
    told: list[tuple[int, int]] = []

    def report(_places, seen, challenger):
        told.append((challenger, seen.stay_of(challenger).number))
        return {"verdict": "continue", "model": "films", "challenger": challenger}

    carrier = Carrier(places, served, report=report)
    carrier._turn()
    assert runs(uri) == {"v3 vs v4": "RUNNING"}
    join(places, 5)
    close_windows(places, FIVE, 2)
    carrier._turn()
    assert runs(uri) == {"v3 vs v4": "RUNNING", "v3 vs v5": "RUNNING"}
    leave(places, 5)
    close_windows(places, FIVE, 1)  # its last, while it ends
    carrier._turn()
    assert runs(uri)["v3 vs v5"] == "RUNNING"  # its process is not gone yet
    ended(places, FIVE)
    carrier._turn()
    assert runs(uri) == {"v3 vs v4": "RUNNING", "v3 vs v5": "FINISHED"}
    assert windows(uri, "v3 vs v5") == [0, 1, 2]
    assert told[-1] == (5, 1)
    assert outstanding(places, deployments.read(places)) == 0
    n = len(told)
    carrier._turn()
    assert len(told) == n  # nothing of it is looked at again
    assert runs(uri)["v3 vs v5"] == "FINISHED"


def test_a_second_stay_has_a_run_of_its_own_also_while_the_first_is_still_brought(uri, tmp_path):
    served = deployment(uri)
    places = state_directory(tmp_path, served)
    join(places, 5)
    close_windows(places, FIVE, 2)
    leave(places, 5)
    ended(places, FIVE)
    join(places, 5)
    again = LaneName(Role.CHALLENGER, 5, 2)
    close_windows(places, again, 1)
    seen: list[tuple[int, int]] = []

    def report(_places, known, challenger):
        seen.append((challenger, known.stay_of(challenger).number))
        return {"verdict": "continue", "model": "films", "challenger": challenger}

    writer = Writer(places, served, report=report)
    writer.take(deployments.read(places))
    writer.turn()
    writer.take_leave()
    writer.publish()
    assert runs(uri)["v3 vs v5"] == "FINISHED"
    assert runs(uri)["v3 vs v5-2"] == "RUNNING"
    assert windows(uri, "v3 vs v5") == [0, 1]
    assert windows(uri, "v3 vs v5-2") == [0]
    assert {(5, 1), (5, 2)} <= set(seen)


def test_what_was_left_open_by_a_kill_arrives_too(uri, tmp_path):
    """Also after a stop in between, with MLflow away, and when the next start serves something else."""
    served = deployment(uri)
    places = state_directory(tmp_path, served)
    join(places, 5)
    close_windows(places, FIVE, 1)
    leave(places, 5)
    ended(places, FIVE)
    assert outstanding(places, deployments.read(places)) == 1
    shelf = deployments.archive(places, deployments.read(places))
    places.make()
    from shadowserve.evidence.archived import Archived

    archived = Archived(places)
    archived.turn()
    assert archived.told() == []
    assert runs(uri)["v3 vs v5"] == "FINISHED"
    assert windows(uri, "v3 vs v5") == [0]
    assert shelf.is_dir()
