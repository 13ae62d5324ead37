"""One request whole: both answers with differences marked, steps of all roles, and values only where allowed."""

from __future__ import annotations

import json
import re

import pytest
from test_pictures import HOSTILE

from rig.asgi import called
from rig.evidence import CHALLENGER, CONTROL, SECRET, close_windows, deployment, state_directory
from rig.report import Reader, text_of
from shadowserve.console.app import Console
from shadowserve.report.inputs import LONGEST_VALUE, shown
from shadowserve.report.one_request import one_request
from shadowserve.report.page.html import join
from shadowserve.report.page.request import request_page
from shadowserve.report.page.step import step_page
from shadowserve.schema.disclosure import Disclosure

NOWHERE = "sqlite:///none.db"


def told(**changes) -> dict:
    own = {
        "position": 7, "request_id": "r-7", "arrived_wall_ns": 10**18, "n_rows": 1, "outcome": "both_ok",
        "disagreement": 0.5, "response_ms": 2.0, "lag_ms": 30.0, "error": None, "error_step": None,
        "divergence": {"top_k": 0.5}, "sizes": {"text": 40}, "champion_prediction": [["a", "b"]],
        "lane_prediction": [["b", "c"]],
    }  # fmt: skip
    steps = {
        "champion": [("text", 1.0), ("model", 3.0)],
        "challenger": [("text", 30.0), ("model", 2.0)],
    }
    return {"challenger": {**own, **changes}, "steps": steps, "inputs": None, "log_inputs": "none"}


def page(told: dict) -> str:
    return join(request_page(told, model="films", champion=3, challenger=4))


def marked(html: str) -> list[str]:
    return re.findall(r"<mark>([^<]*)</mark>", html)


@pytest.mark.parametrize(
    ("champion", "lane", "differs"),
    [
        ([["a", "b"]], [["b", "c"]], ["&quot;a&quot;", "&quot;c&quot;"]),
        ([[0.1, 0.2]], [[0.1, 0.3]], ["0.2", "0.3"]),
        ([1, 2], [1, 3], ["2", "3"]),
        ([1], [1.0], ["1", "1.0"]),
        ([{"p": 1, "q": 2}], [{"p": 1, "r": 2}], ["2", "2"]),
        ([1], [1, 2], ["nothing", "2"]),
        (None, [1], ["null", "1"]),
        ([["a"]], [["a"]], []),
        ([[]], [["a"]], ["&quot;a&quot;"]),
    ],
)
def test_what_the_other_has_not_is_marked(champion, lane, differs):
    assert marked(page(told(champion_prediction=champion, lane_prediction=lane))) == differs


def test_without_an_answer_on_either_side_that_is_said():
    assert "Neither has an answer on record" in text_of(
        page(told(champion_prediction=None, lane_prediction=None))
    )


def test_an_answer_of_many_rows_and_items_is_bounded():
    long = page(told(champion_prediction=[list(range(5_000))] * 60, lane_prediction=[[]] * 60))
    assert len(long) < 200_000
    assert "40 more rows not shown" in text_of(long)
    assert "4800 more" in text_of(long)


def test_a_waterfall_lays_each_step_behind_the_one_before():
    html = page(told())
    bars = re.findall(r'<rect class="(champion|challenger)" x="([\d.]+)%" width="([\d.]+)%"', html)
    assert [(role, float(x), float(width)) for role, x, width in bars] == [
        ("champion", 0.0, 2.5), ("champion", 2.5, 7.5), ("challenger", 0.0, 75.0), ("challenger", 75.0, 5.0),
    ]  # fmt: skip
    assert "Not timed step by step: control" in text_of(html)


def test_a_request_of_a_batch_has_no_times_of_its_own():
    assert "in a call with others" in text_of(page({**told(), "steps": {}}))


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_hostile_names_and_answers_are_text(name):
    hostile = told(
        request_id=name, champion_prediction=[name], lane_prediction=[{name: name}], sizes={name: 3}
    )
    hostile |= {"steps": {"champion": [(name, 1.0)]}, "inputs": {name: [name]}, "log_inputs": "all"}
    html = page(hostile)
    read = Reader(html)
    assert read.open == []
    assert not {"script", "img"} & set(read.elements)
    assert all(c.isprintable() for c in "".join(read.text))
    history = {
        "challenger": {"until": [1.0], "n": [1], "p50_ms": [1.0], "p99_ms": [2.0], "max_ms": [3.0]}
    }
    own = Reader(join(step_page(history, name, model=name, challenger=4)))
    assert own.open == []
    assert not {"script", "img"} & set(own.elements)


ROW = {"text": SECRET, "user": "ann", "n": 3}
TENSORS = [
    {"name": name, "datatype": "BYTES", "shape": [1], "data": [value]}
    for name, value in ROW.items()
]
FORMS = {
    "records": ("invocations", {"dataframe_records": [ROW]}),
    "split": (
        "invocations",
        {"dataframe_split": {"columns": list(ROW), "data": [list(ROW.values())]}},
    ),
    "instances": ("invocations", {"instances": [ROW]}),
    "inputs": ("invocations", {"inputs": {name: [value] for name, value in ROW.items()}}),
    "rows": ("predict", {"rows": [ROW]}),
    "tensors": ("infer", {"inputs": TENSORS}),
}


@pytest.mark.parametrize("form", FORMS)
def test_values_are_seen_of_the_columns_that_are_named_alone(form):
    protocol, document = FORMS[form]
    body = json.dumps(document).encode()
    one = shown(body, Disclosure(b"s", log=("n",)), protocol=protocol)
    assert one == {"text": None, "user": None, "n": ["3"]}
    everything = Disclosure(b"s", log="all", hashed=("user",), dropped=("text",))
    assert shown(body, everything, protocol=protocol) == {"user": None, "n": ["3"]}
    # A tensor's parts are no columns, whatever a team has named.
    for log in ("none", ("name", "data", "shape")):
        assert SECRET not in str(shown(body, Disclosure(b"s", log=log), protocol=protocol))


@pytest.mark.parametrize("protocol", ["invocations", "infer"])
@pytest.mark.parametrize("body", [b"", b"{", b"3", b"[]", b'{"rows": 3}', b'{"instances": [1]}', b'{"dataframe_split": {"data": 3}}', b'{"dataframe_split": {"columns": null, "data": [3]}}'])  # fmt: skip
def test_what_has_no_named_columns_shows_nothing(body, protocol):
    assert shown(body, Disclosure(b"s", log="all"), protocol=protocol) is None


def test_a_value_is_bounded_and_acts_on_nothing():
    body = json.dumps({"rows": [{"a": "x" * 10**6}, {"a": "\x1b[31m\u202e"}]}).encode()
    first, second = shown(body, Disclosure(b"s", log="all"), protocol="predict")["a"]
    assert len(first) == LONGEST_VALUE
    assert second == "\\x1b[31m\\u202e"


@pytest.fixture
def app(tmp_path):
    served = deployment(NOWHERE, control=True)
    places = state_directory(tmp_path, served)
    for lane in (CHALLENGER, CONTROL):
        close_windows(places, lane, 1)
    return Console(places).app()


def test_both_lanes_records_of_a_request_come_together(tmp_path):
    served = deployment(NOWHERE, control=True)
    places = state_directory(tmp_path, served)
    for lane in (CHALLENGER, CONTROL):
        close_windows(places, lane, 1)
    found = one_request(places, served, challenger=4, position=3)
    assert found["challenger"]["request_id"] == found["control"]["request_id"] == "request-3"
    assert set(found["steps"]) == {"champion", "control", "challenger"}
    assert found["inputs"] is None
    assert one_request(places, served, challenger=4, position=99) is None


def test_a_request_and_a_step_have_pages(app):
    answer = called(app, "GET", "/request", params={"position": "3", "challenger": "4"})
    assert answer.status_code == 200
    assert "request-3" in text_of(answer.text)
    answer = called(app, "GET", "/step", params={"step": "description", "challenger": "4"})
    assert "the slowest" in answer.text


@pytest.mark.parametrize(
    ("path", "params", "status"),
    [
        ("/request", {"position": "99"}, 404),
        ("/request", {"position": "-1"}, 404),
        ("/request", {"position": "9" * 400}, 404),
        ("/request", {"position": "³"}, 404),
        ("/request", {}, 404),
        ("/request", {"position": "3", "challenger": "9"}, 400),
        ("/request", {"position": "3", "challenger": "<script>"}, 400),
        ("/step", {}, 404),
        ("/step", {"step": "<script>"}, 200),
        ("/step", {"step": "n" * 5_000}, 200),
    ],
)
def test_what_is_asked_for_and_is_not_there_is_said(app, path, params, status):
    answer = called(app, "GET", path, params=params)
    assert answer.status_code == status
    assert "<script>" not in answer.text
    assert len(answer.text) < 20_000
    assert answer.headers["content-type"].startswith("text/html")
