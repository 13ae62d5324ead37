"""A sink is a class with the calls of `Sink`: a toy one that is no MLflow gets everything, once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from rig.evidence import CHALLENGER, CONTROL, close_windows, deployment, state_directory
from shadowserve.evidence.carrying import Carrier
from shadowserve.evidence.points import Point
from shadowserve.evidence.sink import Sink
from shadowserve.evidence.traces import Trace
from shadowserve.evidence.undelivered import UndeliveredError
from shadowserve.evidence.writer import Writer


class Shelf:
    """Keeps evidence in memory, a run by its key."""

    def __init__(self) -> None:
        self.keys: dict[str, str] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.points: dict[str, set[tuple[str, int]]] = {}
        self.files: dict[str, dict[str, bytes]] = {}
        self.traces: dict[str, Trace] = {}
        self.versions: dict[tuple[str, int], dict[str, str]] = {}
        self.models: dict[str, list[str]] = {}
        self.notes: dict[str, str] = {}
        self.finished: set[str] = set()
        self.is_away = False

    def _answer(self) -> None:
        if self.is_away:
            raise UndeliveredError("The shelf is away.", kind="sink_dead")

    def experiment(self, name: str) -> str:
        self._answer()
        return name

    def run(
        self, experiment: str, *, name: str, key: str, tags: Mapping[str, str], started_ms: int
    ) -> str:
        run_id = self.keys.setdefault(key, f"{experiment}: {name}")
        self.tags[run_id], self.points[run_id], self.files[run_id] = dict(tags), set(), {}
        return run_id

    def describe(self, run_id: str, *, tags: Mapping[str, str], params: Mapping[str, str]) -> None:
        self._answer()
        self.tags[run_id] |= {**params, **tags}
        self.finished.discard(run_id)

    def log(self, run_id: str, points: Sequence[Point]) -> list[str]:
        self._answer()
        self.points[run_id] |= {(point.name, point.step) for point in points}
        return []

    def put_file(self, run_id: str, path: Path, folder: str) -> None:
        self.files[run_id][f"{folder}/{path.name}"] = path.read_bytes()

    def put_text(self, run_id: str, text: str, name: str) -> None:
        self.files[run_id][name] = text.encode()

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        self.tags[run_id] |= tags

    def finish(self, run_id: str, *, ended_ms: int | None = None) -> None:
        self.finished.add(run_id)

    def prove(self, run_id: str, *, tags: Mapping[str, str], text: str, name: str) -> None:
        self.tag(run_id, tags)
        self.put_text(run_id, text, name)

    def trace(self, experiment: str, traces: Sequence[Trace]) -> None:
        self.traces |= {about["trace_id"]: (about, spans) for about, spans in traces}

    def take_models(self, run_id: str, model_ids: Sequence[str]) -> None:
        self.models[run_id] = list(model_ids)

    def annotate(self, run_id: str, text: str) -> None:
        self.notes[run_id] = text

    def annotate_experiment(self, experiment: str, text: str, *, tags: Mapping[str, str]) -> None:
        self.notes[experiment] = text

    def tag_version(
        self,
        model: str,
        number: int,
        *,
        run_id: str | None,
        tags: Mapping[str, str],
        note: str | None = None,
    ) -> None:
        self.versions[model, number] = {**tags, **({"note": note} if note else {})}


def writer_to(shelf: Sink, places, served) -> Writer:
    return Writer(places, served, connect=lambda: shelf, report=lambda *_: {"verdict": "continue"})


def test_everything_arrives_at_a_sink_that_is_no_mlflow(tmp_path):
    served, shelf = deployment("toy://shelf", control=True), Shelf()
    places = state_directory(tmp_path, served)
    close_windows(places, CHALLENGER, 3)
    close_windows(places, CONTROL, 2)
    writer = writer_to(shelf, places, served)
    writer.turn()
    writer.publish()
    writer.finish()
    lanes = {run_id.rpartition(": ")[2]: run_id for run_id in shelf.keys.values()}
    assert sorted(lanes) == ["v3 vs v3 control", "v3 vs v4"]
    challenger = lanes["v3 vs v4"]
    assert {step for _, step in shelf.points[challenger]} == {0, 1, 2}
    assert sum(name.startswith("comparisons/") for name in shelf.files[challenger]) > 0
    assert {"report.json", "report.html"} <= shelf.files[challenger].keys()
    assert shelf.tags[challenger]["shadowserve.verdict"] == "continue"
    assert shelf.traces
    assert shelf.finished == set(lanes.values())


def test_what_waits_while_it_is_away_arrives_once_it_is_back(tmp_path):
    served, shelf = deployment("toy://shelf"), Shelf()
    places = state_directory(tmp_path, served)
    close_windows(places, CHALLENGER, 2)
    shelf.is_away = True
    writer = writer_to(shelf, places, served)
    with pytest.raises(UndeliveredError, match="away"):
        writer.turn()
    assert writer.waiting == 2
    shelf.is_away = False
    writer_to(shelf, places, served).turn()
    (points,) = shelf.points.values()
    assert {step for _, step in points} == {0, 1}


class SlowShelf(Shelf):
    """Takes files never, and its time over everything else."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self.described: list[float] = []

    def describe(self, run_id: str, *, tags: Mapping[str, str], params: Mapping[str, str]) -> None:
        self.described.append(time.monotonic())
        super().describe(run_id, tags=tags, params=params)
        time.sleep(self._seconds)

    def put_file(self, run_id: str, path: Path, folder: str) -> None:
        raise UndeliveredError("No room on the shelf.", kind="sink_error")


def test_an_end_begins_no_try_that_it_could_not_end(tmp_path: Path) -> None:
    """One that were cut off would leave the run that it took up going on."""
    served = deployment("nowhere")
    places = state_directory(tmp_path, served)
    close_windows(places, CHALLENGER, 1)
    shelf = SlowShelf(0.35)
    carrier = Carrier(places, served)
    carrier.writer = Writer(places, served, connect=lambda: shelf)
    until = time.monotonic() + 3.25
    carrier.flush(until=until)
    (run_id,) = shelf.keys.values()
    assert run_id in shelf.finished
    assert max(shelf.described) + 0.35 <= until
    assert time.monotonic() <= until
