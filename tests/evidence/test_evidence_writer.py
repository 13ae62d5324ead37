"""Carrying to a real MLflow on SQLite: everything once, whatever happens in between."""

from __future__ import annotations

import json
import os
from collections import Counter
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
from rig.journal import append
from rig.labels import answers, work
from rig.stores import fresh_store
from shadowserve.evidence.names import safe_name
from shadowserve.evidence.store import Store
from shadowserve.evidence.undelivered import UndeliveredError
from shadowserve.evidence.writer import Writer
from shadowserve.journal.writer import Writer as JournalWriter
from shadowserve.labels import take
from shadowserve.records import Outcome
from shadowserve.report import build
from shadowserve.state import acceptances
from shadowserve.state.acceptances import Acceptance
from shadowserve.state.deployment import Deployment
from shadowserve.state.lane_file import LaneState, Progress
from shadowserve.state.places import Places

pytestmark = pytest.mark.live

WHERE = {"role": "challenger", "step": None, "columns": [], "slice": None}
AWKWARD = dict.fromkeys(
    ("age (years)", "income[EUR]", "a,b", "50%", "../x", "prix_€", "y" * 300, "a b", "a_b"), 1.0
)


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)  # MLflow lays artifacts beside the working directory
    for name in list(os.environ):
        if name.startswith("MLFLOW_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/wrong.db")
    return fresh_store(tmp_path)


def runs_of(uri: str, served: Deployment) -> list:
    found = client(uri).get_experiment_by_name(f"shadowserve/{served.model}")
    return client(uri).search_runs([found.experiment_id]) if found else []


def history(uri: str, run_id: str, name: str) -> list[int]:
    return [point.step for point in client(uri).get_metric_history(run_id, name)]


def parts_of(uri: str, run_id: str) -> list[str]:
    return [Path(one.path).name for one in client(uri).list_artifacts(run_id, "comparisons")]


def local_parts(places: Places, lane=CHALLENGER) -> list[str]:
    return sorted(
        path.name for path in places.lane(lane.role, lane.version).parts.glob("*.parquet")
    )


def traces_of(uri: str, served: Deployment) -> list:
    found = client(uri).get_experiment_by_name(f"shadowserve/{served.model}")
    return client(uri).search_traces(locations=[found.experiment_id], max_results=100)


@pytest.mark.parametrize(("log_inputs", "shown"), [("text", True), ("none", False)])
def test_a_trace_shows_the_values_that_may_leave_and_none_that_may_not(
    uri: str, tmp_path: Path, log_inputs: str, shown: bool
) -> None:
    served = deployment(uri, options={"log_inputs": ["text"] if log_inputs == "text" else "none"})
    places = state_directory(tmp_path, served)
    sent = {"dataframe_records": [{"text": "a red car", "secret": "4711"}]}
    journal = JournalWriter(places.journal, worker=0)
    append(journal, 10, body=json.dumps(sent).encode())
    journal.close()
    close_windows(places, CHALLENGER, 1)
    writer = Writer(places, served, report=lambda *_: {"verdict": "reject", "model": "films"})
    writer.turn()
    writer.finish()
    found = traces_of(uri, served)
    told = [json.dumps([one.data.spans[0].inputs, one.info.request_preview]) for one in found]
    assert told
    assert all(("a red car" in one) == shown for one in told)
    assert not any("4711" in one for one in told)


def test_a_lanes_windows_arrive_with_all_that_belongs_to_them(uri: str, tmp_path: Path) -> None:
    served = deployment(uri, control=True)
    places = state_directory(tmp_path, served)
    close_windows(places, CHALLENGER, 3, metrics=AWKWARD)
    close_windows(places, CONTROL, 2)
    writer = Writer(places, served, report=lambda *_: {"verdict": "reject", "model": "films"})
    writer.turn()
    writer.publish()
    writer.finish()

    runs = {run.info.run_name: run for run in runs_of(uri, served)}
    assert sorted(runs) == ["v3 vs v3 control", "v3 vs v4"]
    run, control = runs["v3 vs v4"], runs["v3 vs v3 control"]
    assert run.info.status == "FINISHED"
    compared = {"role": "challenger", "champion": "v3", "challenger": "v4", "control": "on"}
    assert compared.items() <= run.data.params.items()
    options = run.data.params.keys() - compared.keys()
    assert {one.partition(".")[0] for one in options} <= served.options.to_dict().keys()
    assert run.data.params["sample_rate"] == "1.0"
    assert run.data.tags["shadowserve.verdict"] == "reject"
    assert run.data.tags["shadowserve.challenger.digest"] == "4" * 64
    assert run.data.tags["shadowserve.champion.training_data.digest"] == "data3"
    assert run.data.tags["shadowserve.champion.libraries"] == "python 3.11.4, scikit-learn 1.9.0"
    assert "shadowserve.verdict" not in control.data.tags
    assert history(uri, run.info.run_id, "ledger/requests") == [0, 1, 2]
    assert history(uri, control.info.run_id, "ledger/requests") == [0, 1]
    assert parts_of(uri, run.info.run_id) == local_parts(places)
    names = {one.path for one in client(uri).list_artifacts(run.info.run_id)}
    assert names >= {"report.json", "report.html", "slow_requests.json", "metric_names.json"}
    assert not (tmp_path / "wrong.db").exists()


def test_who_accepted_what_and_why_reaches_the_run_though_no_request_comes_any_more(
    uri: str, tmp_path: Path
) -> None:
    served = deployment(uri)
    places = state_directory(tmp_path, served)
    close_windows(places, CHALLENGER, 1)
    writer = Writer(places, served, report=lambda *_: {"verdict": "reject", "model": "films"})
    writer.turn()
    writer.publish()
    (run,) = runs_of(uri, served)
    assert "shadowserve.accepted" not in run.data.tags

    where = {"role": "challenger", "step": "phrases", "columns": ["description"], "slice": None}
    said = Acceptance(
        4, "0123abcd", "slow_feature", "critical", where, "exponent", 1.8, "Bounded.", "ann@shop"
    )
    acceptances.add(places, served.id, said)
    acceptances.add(places, served.id, replace(said, challenger=5, finding="other"))
    writer.publish()
    tag = client(uri).get_run(run.info.run_id).data.tags["shadowserve.accepted"]
    assert (
        tag
        == f"0123abcd slow_feature in step 'phrases', on description: Bounded. (ann@shop, {said.at_utc})"
    )
    acceptances.add(places, served.id, replace(said, withdrawn=True, by="bob@shop", reason=""))
    writer.publish()
    assert client(uri).get_run(run.info.run_id).data.tags["shadowserve.accepted"] == "none"
    table = json.loads(mlflow_text(uri, run.info.run_id, "accepted.json"))
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert [(row["said"], row["by"], row["reason"]) for row in rows] == [
        ("accepted", "ann@shop", "Bounded."), ("withdrawn", "bob@shop", ""),
    ]  # fmt: skip


def test_an_acceptance_that_runs_out_is_news(uri: str, tmp_path: Path) -> None:
    told = []
    served = deployment(uri)
    places = state_directory(tmp_path, served)
    close_windows(places, CHALLENGER, 1)
    said = Acceptance(
        4, "0123abcd", "latency", "warning", WHERE, None, None, "So.", "ann", lasts_s=3_600.0
    )
    acceptances.add(places, served.id, said)
    writer = Writer(places, served, report=lambda *_: told.append(1) or {"verdict": "continue"})
    writer.turn()
    for _ in range(2):
        writer.publish()
    assert len(told) == 1
    long_ago = replace(said, at=replace(said.at, wall_s=said.at.wall_s - 7_200.0))
    acceptances.add(places, served.id, long_ago)
    writer.publish()
    assert len(told) == 2


def mlflow_text(uri: str, run_id: str, name: str) -> str:
    return Path(client(uri).download_artifacts(run_id, name)).read_text()


def test_comparisons_that_made_room_while_mlflow_was_away_are_counted(
    uri: str, tmp_path: Path
) -> None:
    """Disk is bounded however long MLflow is away; the windows' metrics arrive all the same."""

    def away() -> Store:
        raise UndeliveredError("No answer.", kind="sink_dead")

    served = deployment(uri)
    places = state_directory(tmp_path, served)
    close_windows(places, CHALLENGER, 4)
    kept = local_parts(places)[2:]
    folder = places.lane(CHALLENGER.role, CHALLENGER.version).parts
    budget = sum((folder / name).stat().st_size for name in kept)
    with pytest.raises(UndeliveredError):
        Writer(places, served, connect=away, parts_budget=budget).turn()
    assert local_parts(places) == kept
    for _ in range(2):
        writer = Writer(places, served)
        writer.turn()
    (run,) = runs_of(uri, served)
    assert history(uri, run.info.run_id, "ledger/requests") == [0, 1, 2, 3]
    assert parts_of(uri, run.info.run_id) == kept
    assert writer.counts[CHALLENGER]["lost"] == 2
    assert run.data.tags["shadowserve.windows_without_comparisons"] == "2"


def test_a_runs_present_value_is_the_last_windows(uri: str, tmp_path: Path) -> None:
    served = deployment(uri)
    places = state_directory(tmp_path, served)
    for value in (5.0, 900.0, 7.0):
        close_windows(places, CHALLENGER, 1, metrics={"latency_ms/challenger/p99": value})
    Writer(places, served).turn()
    (run,) = runs_of(uri, served)
    assert run.data.metrics["latency_ms/challenger/p99"] == 7.0


def test_a_report_that_cannot_be_built_holds_nothing_up(uri: str, tmp_path: Path) -> None:
    def fails(*_: object) -> dict:
        raise ValueError("s3cret-value")

    served = deployment(uri)
    places = state_directory(tmp_path, served)
    close_windows(places, CHALLENGER, 1)
    writer = Writer(places, served, report=fails)
    writer.turn()
    writer.publish()
    writer.finish()
    (run,) = runs_of(uri, served)
    names = {one.path for one in client(uri).list_artifacts(run.info.run_id)}
    assert "slow_requests.json" in names
    assert "report.json" not in names


def test_a_verdict_is_tagged_on_the_version_that_was_judged_and_on_no_other(
    uri: str, tmp_path: Path
) -> None:
    registry = client(uri)
    registry.create_registered_model("it's films")
    for number in (1, 2, 3, 4):
        made = registry.create_model_version("it's films", f"file://{tmp_path}", run_id=None)
        assert int(made.version) == number
    judged = replace(version(4), run_id=None)
    served = deployment(uri, challengers=(judged,))
    places = state_directory(tmp_path, served)
    close_windows(places, CHALLENGER, 1)
    writer = Writer(places, served, report=lambda *_: {"verdict": "promote"})
    writer.publish()
    tags = registry.get_model_version("it's films", "4").tags
    assert tags["shadowserve.verdict"] == "promote"
    (run,) = runs_of(uri, served)
    assert tags["shadowserve.run_id"] == run.info.run_id
    assert registry.get_model_version("it's films", "3").tags == {}
    Writer(places, deployment(uri, id="another"), report=lambda *_: {"verdict": "reject"}).publish()
    assert registry.get_model_version("it's films", "4").tags == tags  # of another training run


def test_awkward_names_are_mapped_and_none_is_lost(uri: str, tmp_path: Path) -> None:
    served = deployment(uri)
    places = state_directory(tmp_path, served)
    close_windows(places, CHALLENGER, 1, metrics=AWKWARD)
    Writer(places, served).turn()
    (run,) = runs_of(uri, served)
    path = client(uri).download_artifacts(run.info.run_id, "metric_names.json", str(tmp_path))
    mapping = json.loads(Path(path).read_text())
    assert {mapping.get(name, name) for name in AWKWARD} <= set(run.data.metrics)
    assert sorted(mapping) == sorted(set(AWKWARD) - {"a b", "a_b"})


def test_what_is_not_finite_never_arrives(uri: str, tmp_path: Path) -> None:
    served = deployment(uri)
    places = state_directory(tmp_path, served)
    close_windows(places, CHALLENGER, 1, metrics={"divergence/relative": None, "fine": 2.0})
    Writer(places, served).turn()
    (run,) = runs_of(uri, served)
    assert "divergence/relative" not in run.data.metrics
    assert run.data.metrics["evidence/left_out"] == 1.0
    assert max(abs(value) for value in run.data.metrics.values()) < 1e18


def test_a_metric_that_mlflow_refuses_takes_no_other_with_it(uri: str) -> None:
    from shadowserve.evidence.points import Point

    store = Store(uri)
    run_id = store.run(store.experiment("e"), name="r", key="ab", tags={}, started_ms=1)
    names = ["a", "b", "c[refused]", "d", "e"]
    refused = store.log(run_id, [Point(name, 1.0, 1_000, 0) for name in names])
    assert refused == ["c[refused]"]
    assert sorted(client(uri).get_run(run_id).data.metrics) == ["a", "b", "d", "e"]


def test_more_points_than_one_call_takes_all_arrive(uri: str) -> None:
    from shadowserve.evidence.points import Point

    store = Store(uri)
    run_id = store.run(store.experiment("e"), name="r", key="ab", tags={}, started_ms=1)
    store.log(run_id, [Point(f"m{i}", float(i), 1_000, 0) for i in range(1_203)])
    assert len(client(uri).get_run(run_id).data.metrics) == 1_203


class KilledError(BaseException):
    """Ends a test's writer as SIGKILL ends a process: nothing catches it."""


class Mortal(Store):
    """Dies before or after its n-th call."""

    def __init__(self, uri: str, left: float, *, before: bool) -> None:
        super().__init__(uri)
        self.left, self.before = left, before

    def __getattribute__(self, name: str):
        found = super().__getattribute__(name)
        if name not in CALLS:
            return found

        def call(*args, **kwargs):
            self.left -= 1
            if self.left < 0 and self.before:
                raise KilledError
            done = found(*args, **kwargs)
            if self.left < 0:
                raise KilledError
            return done

        return call


CALLS = {
    "experiment", "run", "describe", "log", "put_file", "put_text", "trace", "tag", "finish",
    "take_models", "annotate", "annotate_experiment",
}  # fmt: skip


@pytest.mark.parametrize("before", [True, False])
def test_a_death_between_any_two_calls_loses_nothing_and_doubles_nothing(
    uri: str, tmp_path: Path, before: bool
) -> None:
    deaths = 0
    for allowed in range(100):
        served = deployment(uri, id=f"deployment {allowed}")
        places = state_directory(tmp_path / f"{allowed}", served)
        close_windows(places, CHALLENGER, 2, metrics={"a[1]": 1.0})
        first = Writer(
            places,
            served,
            connect=lambda n=allowed: Mortal(uri, n, before=before),
            report=lambda *_: {"verdict": "continue"},
        )
        try:
            first.turn()
            first.publish()
            first.finish()
        except KilledError:
            deaths += 1
        else:
            break
        close_windows(places, CHALLENGER, 1)
        Writer(places, served).turn()
        (run,) = [
            r for r in runs_of(uri, served) if r.data.tags["shadowserve.deployment"] == served.id
        ]
        assert history(uri, run.info.run_id, "ledger/requests") == [0, 1, 2]
        assert history(uri, run.info.run_id, safe_name("a[1]")) == [0, 1]
        assert parts_of(uri, run.info.run_id) == local_parts(places)
    assert deaths >= 12
    by_request = Counter(
        (trace.info.trace_metadata["mlflow.sourceRun"], trace.info.client_request_id)
        for trace in traces_of(uri, served)
    )
    assert set(by_request.values()) == {1}


def test_a_repeated_start_takes_up_the_same_run_with_other_options(
    uri: str, tmp_path: Path
) -> None:
    served = deployment(uri)
    places = state_directory(tmp_path, served)
    close_windows(places, CHALLENGER, 1)
    first = Writer(places, served)
    first.turn()
    first.finish()
    places.evidence.unlink()  # even with nothing remembered
    close_windows(places, CHALLENGER, 1)
    again = Writer(places, deployment(uri, options={"sample_rate": 0.5}))
    again.turn()
    (run,) = runs_of(uri, served)
    assert run.info.status == "RUNNING"
    assert history(uri, run.info.run_id, "ledger/requests") == [0, 1]


def test_a_deleted_run_is_named_waited_for_and_gone_on_with(uri: str, tmp_path: Path) -> None:
    served = deployment(uri, control=True)
    places = state_directory(tmp_path, served)
    writer = Writer(places, served)
    close_windows(places, CHALLENGER, 1)
    writer.turn()
    run_id = writer.counts[CHALLENGER]["run_id"]
    client(uri).delete_run(run_id)
    close_windows(places, CHALLENGER, 1)
    close_windows(places, CONTROL, 1)
    with pytest.raises(UndeliveredError, match=f"runs restore --run-id {run_id}") as caught:
        writer.turn()
    assert caught.value.hopeless
    assert (writer.counts[CHALLENGER]["waiting"], writer.counts[CONTROL]["waiting"]) == (1, 0)
    client(uri).restore_run(run_id)
    writer.turn()
    assert history(uri, run_id, "ledger/requests") == [0, 1]


def test_a_run_that_is_gone_for_good_is_made_anew_with_everything(uri: str, tmp_path: Path) -> None:
    served = deployment(uri)
    places = state_directory(tmp_path, served)
    close_windows(places, CHALLENGER, 2)
    Writer(places, served).turn()
    Path(tmp_path / "mlflow.db").unlink()
    (tmp_path / "other").mkdir()
    other = fresh_store(tmp_path / "other")
    writer = Writer(places, deployment(other))
    writer.turn()
    (run,) = runs_of(other, served)
    assert history(other, run.info.run_id, "ledger/requests") == [0, 1]


def test_a_store_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    served = deployment(f"sqlite:///{tmp_path}/missing.db")
    places = state_directory(tmp_path, served)
    close_windows(places, CHALLENGER, 1)
    writer = Writer(places, served)
    with pytest.raises(UndeliveredError, match="does not exist"):
        writer.turn()
    assert not (tmp_path / "missing.db").exists()
    assert writer.waiting == 1


def test_a_slow_request_becomes_a_trace_that_shows_its_slow_step(uri: str, tmp_path: Path) -> None:
    served = deployment(uri)
    places = state_directory(tmp_path, served)
    close_windows(places, CHALLENGER, 1)
    Writer(places, served).turn()
    found = {t.info.client_request_id: t for t in traces_of(uri, served)}
    trace = found["request-7"]
    spans = {span.name: span for span in trace.data.spans if span.name != "estimator"}
    lengths = {n: (s.end_time_ns - s.start_time_ns) / 1e6 for n, s in spans.items()}
    assert spans.keys() == {"request", "champion v3", "challenger v4", "description"}
    assert lengths["challenger v4"] == pytest.approx(40.0)
    steps = [s for s in trace.data.spans if s.name == "description"]
    challenger = max(steps, key=lambda s: s.end_time_ns - s.start_time_ns)
    assert challenger.attributes["sizes"] == {"text": 9_000}
    assert challenger.attributes["role"] == "challenger"
    assert challenger.parent_id == spans["challenger v4"].span_id
    assert "request-3" in found  # the one that differs


def test_labels_that_come_after_the_last_window_reach_mlflow(uri: str, tmp_path: Path) -> None:
    """Nothing is scored any more and no window closes: labels alone are news of the report."""
    served = deployment(uri, control=True, options={"method": "predict"})
    places = state_directory(tmp_path, served)
    truth, rows = answers(80, better=0.1)
    work(places, CHALLENGER, rows, part=True)
    state = LaneState(places.lane(CHALLENGER.role, CHALLENGER.version).state)
    state.commit(Progress(outcomes=Counter({Outcome.BOTH_OK: 80})))
    state.close()
    writer = Writer(places, served, report=lambda p, d, n: build.build(p, d, challenger=n))
    writer.turn()
    writer.publish()
    run = next(one for one in runs_of(uri, served) if one.info.run_name == "v3 vs v4")
    assert told_in(uri, run, tmp_path / "before")["labels"] is None

    raws = [(n, f"request-{n}", t) for n, t in enumerate(truth, 1)]
    take(places, served, raws)
    writer.turn()
    writer.publish()
    run = next(one for one in runs_of(uri, served) if one.info.run_name == "v3 vs v4")
    labels = told_in(uri, run, tmp_path / "after")["labels"]
    assert (labels["joined"], labels["loss"]["n"]) == (80, 80)
    assert history(uri, run.info.run_id, "ledger/requests") in ([], [0])


def told_in(uri: str, run, folder: Path) -> dict:
    """Return the report that a run holds in MLflow."""
    folder.mkdir()
    return json.loads(
        Path(
            client(uri).download_artifacts(run.info.run_id, "report.json", str(folder))
        ).read_text()
    )
