"""Loss by part of the traffic: where a challenger does worse, though it does better in all."""

from __future__ import annotations

import json
import sqlite3

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from rig.deployment import CHALLENGER, CONTROL, deployment, made
from rig.lane import LABELLED, answer, work
from rig.report_schema import SCHEMA, closed, faults
from rig.scoring import opaque
from shadowserve.cli import main
from shadowserve.labels import take
from shadowserve.labels.by_slice import LEAST, BySlice
from shadowserve.labels.losses import Wrong
from shadowserve.report import build
from shadowserve.report.page import render
from shadowserve.schema.disclosure import Disclosure
from shadowserve.state import deployment as deployments
from shadowserve.state.lane_file import KEPT_CELLS, LaneState, Progress
from shadowserve.state.lane_reading import cells_of
from shadowserve.statistics.slices import SliceSearch

N = 600


def asked() -> list[dict]:
    rng = np.random.default_rng(3)
    return [
        {"age": float(a), "title": t}
        for a, t in zip(rng.integers(0, 8, N), rng.choice(["red", "blue"], N), strict=True)
    ]


def old(frame: pd.DataFrame, _params=None) -> list[str]:
    """Wrong for half of the red ones."""
    return ["no" if t == "red" and a < 4 else "yes" for a, t in frame[["age", "title"]].to_numpy()]


def new(frame: pd.DataFrame, _params=None) -> list[str]:
    """Right for all but the oldest."""
    return ["no" if a == 7 else "yes" for a in frame["age"]]


@pytest.fixture(scope="module")
def worked(tmp_path_factory):
    """A lane that has compared, and labels of all requests: "yes" is always right."""
    served = deployment(control=True)
    places = made(tmp_path_factory.mktemp("sliced"), CHALLENGER, CONTROL)
    deployments.write(places, served)
    rows = asked()
    requests = answer(places, rows, champion=opaque(old, number=3))
    work(places, opaque(new, number=4), name=CHALLENGER)
    take(places, served, [(i, one.request_id, "yes") for i, one in enumerate(requests)])
    return places, served, build.build(places, served, challenger=4)


def test_where_the_challenger_does_worst_comes_first_with_both_losses(worked):
    told = worked[2]["labels"]["by_slice"]
    assert told["measure"] == "error"
    assert told["difference"] < 0 < told["n"]  # better in all
    worst = told["slices"][0]
    assert (worst["columns"], worst["slice"]) == (["age"], "age from 7")
    assert (worst["champion"], worst["challenger"], worst["difference"]) == (0.0, 1.0, 1.0)
    assert all(one["n"] >= LEAST for one in told["slices"])
    differences = [one["difference"] for one in told["slices"]]
    assert differences == sorted(differences, reverse=True)


def test_its_sums_are_those_of_the_labels_counted_by_hand(worked):
    told = worked[2]["labels"]["by_slice"]
    later = asked()[N - told["n"] :]  # those before the cells were fixed lie in none
    frame = pd.DataFrame(later)
    assert told["champion"] == pytest.approx(np.mean([one == "no" for one in old(frame)]))
    oldest = next(one for one in told["slices"] if one["slice"] == "age from 7")
    assert oldest["n"] == (frame["age"] == 7).sum()


def test_values_are_told_by_salted_labels_alone(worked):
    told = json.dumps(worked[2]["labels"]["by_slice"])
    assert "title is #" in told
    assert '"red"' not in told
    assert "is red" not in told


def test_report_page_and_text_show_it_as_the_schema_says(worked):
    places, _, told = worked
    assert faults(told, closed(SCHEMA)) == []
    shown = CliRunner().invoke(main, ["report", "--state-dir", str(places.root)]).output
    for text in ("part of the traffic", "age from 7", "describes and does not decide"):
        assert text in shown
        assert text in render(told)


def test_only_requests_of_one_row_and_one_unit_are_noted(worked):
    places, _, _ = worked
    path = places.lane(CHALLENGER.role, CHALLENGER.version).state
    found = cells_of(path, range(1, N + 1))
    assert 0 < len(found) <= N
    assert len({mark for mark, _ in found.values()}) == 1
    assert cells_of(path, [10**12]) == {}


def test_a_lanes_file_of_an_earlier_release_has_no_cells_and_is_read(tmp_path):
    path = tmp_path / "state.db"
    LaneState(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE cell")
    assert cells_of(path, [1]) == {}
    LaneState(path).close()  # the lane that goes on makes it


def test_cells_of_old_requests_make_room(tmp_path, monkeypatch):
    monkeypatch.setattr("shadowserve.state.lane_file.KEPT_CELLS", 10)
    state = LaneState(tmp_path / "state.db")
    for place in range(1, 31):
        state.commit(Progress(cells=[(place, "m", b"\1")]))
    state.close()
    assert set(cells_of(tmp_path / "state.db", range(1, 31))) == set(range(21, 31))
    assert KEPT_CELLS > 10


def searching(log="none") -> SliceSearch:
    search = SliceSearch({"age": "number"}, disclosure=Disclosure(b"salt", log=log))
    search.add({"age": np.arange(300.0) % 8}, np.zeros(300))
    return search


def test_a_search_that_begins_anew_has_cells_of_its_own():
    search, other = searching(), searching()
    assert "" != search.mark != other.mark
    assert SliceSearch.from_state(search.state()).mark == search.mark
    sums = BySlice()
    bits = np.packbits(search.add({"age": np.asarray([7.0])}, np.zeros(1))[0]).tobytes()
    for place in range(2 * LEAST):
        mark = search.mark if place % 2 else other.mark
        sums.add({place: Wrong(0.0, 1.0, 0.0)}, {place: (mark, bits)})
    assert sums.to_dict(search, measure="error", show=())["n"] == LEAST
    assert sums.to_dict(SliceSearch({"age": "number"}), measure="error", show=()) is None
    assert BySlice.from_state(json.loads(json.dumps(sums.state()))).state() == sums.state()
    assert BySlice.from_state(None).state() == {}


def test_a_search_of_an_earlier_release_gets_a_mark():
    state = searching().state()
    del state["counts"]["mark"]
    assert SliceSearch.from_state(state).mark


def test_rows_tell_their_cells_once_those_are_fixed():
    search = SliceSearch({"age": "number"}, disclosure=LABELLED)
    assert search.mark == ""
    assert search.add({"age": np.arange(10.0)}, np.zeros(10)) is None
    search.add({"age": np.arange(300.0) % 8}, np.zeros(300))
    members = search.add({"age": np.asarray([0.0, np.nan, 7.0])}, [0.0, 0.0, np.nan])
    assert members.sum(axis=1).tolist() == [1, 1, 0]  # the last was left out
    named = dict(search.cells())
    assert named[int(np.flatnonzero(members[1])[0])].kind == "missing"
