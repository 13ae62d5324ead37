"""What adorns MLflow's pages, in a real one: written once, kept true, and nobody's words are lost."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from rig.evidence import (
    CHALLENGER,
    CONTROL,
    client,
    close_windows,
    deployment,
    state_directory,
    version,
)
from rig.stores import fresh_store
from shadowserve.evidence.links import VIEW
from shadowserve.evidence.notes import BEGIN, NOTE
from shadowserve.evidence.store import Store
from shadowserve.evidence.undelivered import UndeliveredError
from shadowserve.evidence.writer import Writer
from shadowserve.judgement.findings.finding import Finding, Severity, Where
from shadowserve.report import build
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places

pytestmark = pytest.mark.live

FINDING = Finding("slow_feature", Severity.CRITICAL, "Slow <b>step</b>.", Where())


def report(places: Places, served: Deployment, number: int, **changes) -> dict:
    """Return a real report in which a few things are as a test wants them."""
    found = {**FINDING.to_dict(), "since_request": None, "since_time": None, "example_requests": []}
    told = build.build(places, served, challenger=number)
    return {**told, "verdict": "reject", "findings": [found], **changes}


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)  # MLflow lays artifacts beside the working directory
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    return fresh_store(tmp_path)


def the_run(uri: str, name: str = "v3 vs v4"):
    store = client(uri)
    experiment = store.get_experiment_by_name("shadowserve/it's films")
    found = store.search_runs([experiment.experiment_id])
    return store.get_run(next(run.info.run_id for run in found if run.info.run_name == name))


def published(uri: str, places, served, **changes) -> None:
    writer = Writer(places, served, report=lambda p, d, n: report(p, d, n, **changes))
    writer.turn()
    writer.publish()


def test_notes_say_the_verdict_and_stay_true(uri: str, tmp_path: Path) -> None:
    served = deployment(uri, control=True)
    places = state_directory(tmp_path, served)
    close_windows(places, CHALLENGER, 2)
    close_windows(places, CONTROL, 1)
    published(uri, places, served)
    note = the_run(uri).data.tags[NOTE]
    assert "**Reject**" in note
    assert "Slow &lt;b&gt;step" in note
    assert "**The control**" in the_run(uri, "v3 vs v3 control").data.tags[NOTE]
    client(uri).set_tag(the_run(uri).info.run_id, NOTE, f"Ask Ann first.\n\n{note}\n\nBob agrees.")
    close_windows(places, CHALLENGER, 1)
    published(uri, places, served, verdict="continue")
    note = the_run(uri).data.tags[NOTE]
    assert "**Continue**" in note
    assert "Reject" not in note
    assert note.startswith("Ask Ann first.\n\n<!--")
    assert note.endswith("Bob agrees.")
    assert note.count(BEGIN) == 1


def test_the_experiment_says_what_its_runs_are_and_has_a_view_of_them(
    uri: str, tmp_path: Path
) -> None:
    store = client(uri)
    made = store.create_experiment("shadowserve/it's films")
    store.set_experiment_tag(made, NOTE, "Our films.")
    served = deployment(uri)
    places = state_directory(tmp_path, served)
    for one in ("one", "another"):
        close_windows(places, CHALLENGER, 1)
        published(uri, places, replace(served, id=one))
    tags = store.get_experiment(made).tags
    assert tags[NOTE].startswith("Our films.\n\n")
    assert tags[NOTE].count(BEGIN) == 1
    assert f"viewStateShareKey={VIEW}" in tags[NOTE]
    assert "total/disagreement" in tags[f"mlflow.sharedViewState.{VIEW}"]


def test_both_models_are_linked_to_the_run_once(uri: str, tmp_path: Path) -> None:
    store = client(uri)
    home = store.create_experiment("training")
    ids = [store.create_logged_model(home, name=f"m{n}").model_id for n in (3, 4)]
    served = deployment(
        uri,
        champion=replace(version(3), model_id=ids[0]),
        challengers=(replace(version(4), model_id=ids[1]),),
        control=True,
    )
    places = state_directory(tmp_path, served)
    for _ in range(3):
        close_windows(places, CHALLENGER, 1)
        published(uri, places, served)
    linked = [one.model_id for one in the_run(uri).inputs.model_inputs]
    assert sorted(linked) == sorted(ids)
    control = the_run(uri, "v3 vs v3 control").inputs.model_inputs
    assert [one.model_id for one in control] == ids[:1]


def test_a_version_without_a_logged_model_is_linked_to_nothing(uri: str, tmp_path: Path) -> None:
    bare = [replace(version(number), model_id=None) for number in (3, 4)]
    served = deployment(uri, champion=bare[0], challengers=(bare[1],))
    places = state_directory(tmp_path, served)
    close_windows(places, CHALLENGER, 1)
    published(uri, places, served)
    assert the_run(uri).inputs.model_inputs == []


def test_a_versions_description_keeps_its_authors_words(uri: str, tmp_path: Path) -> None:
    registry = client(uri)
    registry.create_registered_model("it's films")
    for _ in range(4):
        registry.create_model_version("it's films", f"file://{tmp_path}", run_id=None)
    registry.update_model_version("it's films", "4", "Refreshed data. *Ann*")
    served = deployment(uri, challengers=(replace(version(4), run_id=None),))
    places = state_directory(tmp_path, served)
    for verdict in ("continue", "reject", "reject"):
        close_windows(places, CHALLENGER, 1)
        published(uri, places, served, verdict=verdict)
    told = registry.get_model_version("it's films", "4").description
    assert told.startswith("Refreshed data. *Ann*\n\n")
    assert told.count(BEGIN) == 1
    assert "**reject**" in told
    assert the_run(uri).info.run_id in told
    assert not registry.get_model_version("it's films", "3").description


def test_figures_lie_beside_the_report(uri: str, tmp_path: Path) -> None:
    served = deployment(uri)
    places = state_directory(tmp_path, served)
    close_windows(places, CHALLENGER, 3)
    published(uri, places, served)
    names = {one.path for one in client(uri).list_artifacts(the_run(uri).info.run_id, "figures")}
    assert names == {"figures/divergence.svg", "figures/steps.svg"}


class Plain(Store):
    """An older server, or one where this user may write runs and nothing else."""

    def take_models(self, run_id, model_ids):
        raise UndeliveredError("There is no such route.", kind="sink_error", status=404)

    def annotate_experiment(self, experiment, text, *, tags):
        raise UndeliveredError("Permission denied.", kind="sink_error", status=403)


def test_a_server_that_takes_no_adornment_gets_the_evidence(uri: str, tmp_path: Path) -> None:
    served = deployment(uri)
    places = state_directory(tmp_path, served)
    close_windows(places, CHALLENGER, 2)
    writer = Writer(places, served, connect=lambda: Plain(uri), report=report)
    writer.turn()
    writer.publish()
    assert writer.waiting == 0
    assert "**Reject**" in the_run(uri).data.tags[NOTE]
