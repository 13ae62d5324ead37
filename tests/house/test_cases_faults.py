"""Reported cases of harm and lost evidence, with their values; `tests/cases.md` lists all of them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import cloudpickle
import numpy as np
import orjson
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from rig.asgi import calling
from rig.champion import Serving, watched
from rig.deployment import CHALLENGER, CONTROL, made
from rig.lane import answer, close, lane, parts, records, told, work
from rig.plane import Plane
from rig.scoring import body, double, opaque, predictions, record
from shadowserve.console.app import Console
from shadowserve.console.guard import Guard
from shadowserve.divergence.kinds.number import NumberDivergence
from shadowserve.evidence.points import points_of
from shadowserve.http import tokens
from shadowserve.lane import intake
from shadowserve.schema.schema import Schema
from shadowserve.scorer.scorer import Scorer
from shadowserve.state.lane_file import Window


def test_ss_019_a_late_error_is_an_outcome_with_its_place(tmp_path):
    """The challenger sleeps, then raises: one error of its own, long after the answer has left."""

    def late(_frame, _params):
        time.sleep(0.2)
        raise ValueError("s3cret")

    places = made(tmp_path, CHALLENGER, CONTROL)
    answer(places, records(1))
    work(places, opaque(late))
    assert told(places) == {"challenger_error": 1}
    (row,) = parts(places).to_dict("records")
    assert (row["error"], row["request_id"]) == ("ValueError", "r1")


def test_ss_020_several_at_once_wait_for_a_slow_model_and_none_is_lost(tmp_path):
    _, scorer = watched(double, pause_s=0.15, batched=False)
    with Serving(tmp_path, scorer) as serving:
        served = serving.ask(*[[record(n)] for n in range(6)])
        assert [predictions(one.body) for one in served] == [[2.0 * n] for n in range(6)]


_LOADS = """
import sys, cloudpickle
model = cloudpickle.load(open(sys.argv[1], "rb"))
print(model.predict([[0.5]])[0])
"""


def test_ss_025_a_model_that_was_used_in_the_parent_predicts_in_its_children(tmp_path):
    """A process that predicts is begun anew and loads for itself; none is forked after OpenMP ran."""
    rows = np.linspace(0, 1, 200).reshape(-1, 1)
    model = HistGradientBoostingRegressor(max_iter=5).fit(rows, rows[:, 0])
    expected = model.predict([[0.5]])[0]
    path = tmp_path / "model.pkl"
    path.write_bytes(cloudpickle.dumps(model))
    command = [sys.executable, "-c", _LOADS, str(path)]
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(subprocess.check_output, command, timeout=30) for _ in range(2)]
        assert {float(one.result()) for one in asked} == {expected}


def test_ss_028_a_lone_request_and_one_of_a_burst_ask_the_same_method(tmp_path):
    """What `predict_proba` is to answer is answered by it, batched or not."""

    def probabilities(frame, _params):
        share = frame["age"].to_numpy() / 100
        return np.column_stack([1 - share, share])

    with Serving(tmp_path, opaque(probabilities)) as serving:
        alone = [serving.ask([record(n)])[0].body for n in range(20)]
        burst = [one.body for one in serving.ask(*[[record(n)] for n in range(20)])]
    assert burst == alone
    assert len(predictions(alone[3])[0]) == 2


def test_ss_061_a_relative_divergence_from_nought_is_finite():
    found = NumberDivergence().compare([0.0], [1.0])
    assert found.values["relative"].tolist() == [1.0]  # |a - b| over the larger of both sizes
    sent = windows_of({"divergence/relative": float("inf"), "ledger/requests": 1})
    assert [(point.name, point.value) for point in sent] == [
        ("ledger/requests", 1.0),
        ("evidence/left_out", 1.0),
    ]


def windows_of(metrics, number=0):
    return points_of(Window(number, 1, 2, 1, json.dumps(metrics).encode(), None)).points


def test_ss_063_065_a_thousand_equal_values_in_a_second_are_counted_as_a_thousand(tmp_path):
    """One point a window, each with a step of its own, and the last point is the last window."""
    places = made(tmp_path, CHALLENGER, CONTROL)
    answer(places, records(2_050))
    it = work(places)
    from shadowserve.state.lane_reading import closed_windows

    closed = closed_windows(it.parts.files.state, after=-1)
    points = [p for window in closed for p in points_of(window).points if p.name == "ledger/requests"]  # fmt: skip
    assert sum(point.value for point in points) == 2_050
    assert [point.step for point in points] == list(range(len(closed)))
    agreed = [p.value for w in closed for p in points_of(w).points if p.name == "divergence/disagreement"]  # fmt: skip
    assert set(agreed) == {0.0}


def signatureless(predict) -> Scorer:
    made_ = opaque(predict)
    return Scorer(made_.version, made_.loaded, None, Schema.from_signature(None))


def test_ss_115_what_is_kept_does_not_grow_with_ids_and_names_that_never_repeat(
    tmp_path, monkeypatch
):
    """Each request has an id and a column of its own; without a signature both reach the lane."""
    monkeypatch.setattr(intake, "MOST_SIZED", 50)
    scorer = signatureless(lambda frame, _: np.zeros(len(frame)))
    strange = [{"age": 1.0, f"unknown_{n}": "text"} for n in range(300)]
    places = made(tmp_path, CHALLENGER, CONTROL)
    answer(places, strange, champion=scorer)
    it = work(places, scorer)
    assert told(places) == {"both_ok": 300}
    assert len(it.commits.learned.sizes) <= 50
    assert len(it.execution._looking._large._sketches) <= 50
    again = lane(places, scorer)
    again.take_up()
    assert len(again.commits.sizes._known) <= 50
    close(again)


def test_ss_115_nothing_on_the_hot_path_is_kept_by_id_or_name(tmp_path):
    with Plane(tmp_path) as plane:
        for n in range(300):
            sent = body({**record(1), f"unknown_{n}": 1})
            assert plane.post(sent, x_request_id=f"id-{n}").status_code == 200
        champion = plane.serving.champion
        assert (champion._queued_rows, champion._queued_bytes, len(champion._waiting)) == (0, 0, 0)
        assert plane.counts.extra_columns == 300


@pytest.mark.parametrize(
    ("token", "caller", "status"),
    [(None, "10.1.2.3", 403), (b"abc", "10.1.2.3", 503), (None, "127.0.0.1", 503)],
)
def test_labels_come_from_elsewhere_only_with_the_token(tmp_path, token, caller, status):
    """503: they are taken, and nothing is served yet whose labels they could be."""
    from shadowserve.state.places import Places

    app = Guard(Console(Places(tmp_path), guarded=token is not None).app(), token)

    async def ask():
        async with calling(app, client=(caller, 5)) as client:
            head = {"content-type": "application/json"}
            head |= {"authorization": f"Bearer {token.decode()}"} if token else {}
            return await client.post("/labels", content=orjson.dumps([]), headers=head)

    assert asyncio.run(ask()).status_code == status
    assert tokens.admits(token, b"Bearer abc")
