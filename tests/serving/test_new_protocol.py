"""To add a protocol: a module of its own, a line in the table. Everybody else reads the table."""

from __future__ import annotations

import json

import httpx
import numpy as np
import pytest

from rig.plane import Plane
from rig.scoring import SIGNATURE, record
from rig.standin import standing_in
from shadowserve.console import tapped
from shadowserve.errors import RequestError
from shadowserve.schema.json_schema import record as described_record
from shadowserve.schema.schema import Schema
from shadowserve.settings.gate import Gate
from shadowserve.wire import protocols as table
from shadowserve.wire.jsontext import loads
from shadowserve.wire.limits import MAX_DEPTH
from shadowserve.wire.protocol import Protocol, Purpose, Route
from shadowserve.wire.refusals import RefusalForm
from shadowserve.wire.scoring import type_scoring


def read_lines(body, _content_type):
    return [loads(line, max_depth=MAX_DEPTH) for line in body.splitlines()]


def type_lines(records, schema):
    return type_scoring({"dataframe_records": records}, schema), None


def write_lines(prediction, *, echo=None):
    return b"\n".join(str(value).encode() for value in prediction.tolist())


def read_answers(answer):
    return [json.loads(line) for line in answer.splitlines()]


LINES = Protocol(
    name="lines",
    prefix="/lines",
    routes=(
        Route("/lines/score", Purpose.SCORE),
        Route("/lines/alive", Purpose.LIVE),
        Route("/lines/{model}", Purpose.TELL, lambda _schema, model, version: f"{model} {version}".encode()),
    ),
    read_body=read_lines,
    type=type_lines,
    encode=write_lines,
    read=read_answers,
    answered_with="a number a line",
    described=lambda schema: {"application/x-ndjson": {"schema": described_record(schema)}},
    answers={"type": "string"},
    refusals=RefusalForm(
        "LineError",
        lambda error, request_id: f"no: {error.code} ({request_id})".encode(),
        {"type": "string"},
    ),
)  # fmt: skip
SENT = "\n".join(json.dumps(record(n)) for n in (1, 2)).encode()


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(table, "PROTOCOLS", (*table.PROTOCOLS, LINES))


def test_it_is_served_by_the_data_plane_and_journaled_under_its_name(tmp_path):
    with Plane(tmp_path) as plane:
        wanted = plane.post(json.dumps({"dataframe_records": [record(1), record(2)]}).encode())
        told = plane.post(SENT, "/lines/score")
        assert told.status_code == 200
        assert read_answers(told.content) == wanted.json()["predictions"]
        assert plane.ask("GET", "/lines/films").text == "films 3"
        assert plane.serving.journaled()[-1].protocol == "lines"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "/lines/score", 400, "bad_json"),
        ("GET", "/lines/score", 405, "method_not_allowed"),
        ("POST", "/lines/other", 404, "not_found"),
    ],
)
def test_it_refuses_in_its_own_form(tmp_path, method, path, status, code):
    with Plane(tmp_path) as plane:
        told = plane.ask(method, path, content=b"{", headers={"x-request-id": "mine"})
        assert (told.status_code, told.text) == (status, f"no: {code} (mine)")


def test_its_probe_needs_neither_name_nor_token(tmp_path):
    with Plane(tmp_path, token=b"abc", gate=Gate.of("127.0.0.1", guarded=False)) as plane:
        head = {"host": "evil.example"}
        assert plane.ask("GET", "/lines/alive", headers=head).status_code == 200
        told = plane.ask("GET", "/lines/films", headers={"host": "localhost"})
        assert told.text.startswith("no: unauthorized")


def test_the_document_tells_of_its_routes_and_its_form(tmp_path):
    with Plane(tmp_path) as plane:
        told = plane.ask("GET", "/openapi.json").json()
    scored = told["paths"]["/lines/score"]["post"]
    assert list(scored["requestBody"]["content"]) == ["application/x-ndjson"]
    refused = scored["responses"]["400"]["content"]["application/json"]["schema"]
    assert refused == {"$ref": "#/components/schemas/LineError"}
    assert told["components"]["schemas"]["LineError"] == {"type": "string"}
    assert set(told["paths"]["/lines/films"]) == {"get"}


def test_the_stand_in_refuses_in_its_form_and_answers_its_probe(tmp_path):
    with standing_in(tmp_path) as (url, counted, _):
        told = httpx.post(f"{url}/lines/score", content=SENT, trust_env=False)
        alive = httpx.get(f"{url}/lines/alive", trust_env=False)
        assert counted.counts().not_ready == 1
    assert (told.status_code, alive.status_code) == (503, 200)
    assert told.text == f"no: not_ready ({told.headers['x-request-id']})"


def test_the_tap_takes_its_records_and_says_what_an_answer_is():
    known = table.protocols("films", 3)
    schema = Schema.from_signature(SIGNATURE)

    def taken(answer):
        line = {
            "protocol": "lines",
            "request_text": SENT.decode(),
            "answer_text": answer,
            "latency_ms": 1,
        }
        one = tapped.read(json.dumps(line).encode(), known)
        return tapped.check(one, known["lines"], schema, max_body=1_000)

    one, rows = taken("1.5\n2.5")
    assert (one.protocol, rows.n_rows) == ("lines", 2)
    assert known["lines"].read(known["lines"].encode(np.array([1.5, 2.5]))) == [1.5, 2.5]
    with pytest.raises(RequestError, match="a number a line"):
        taken("nothing")
