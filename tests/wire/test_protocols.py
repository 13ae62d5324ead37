"""Every way of asking: typed, answered, refused and read again by one table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import orjson
import pytest

from rig.scoring import SIGNATURE, body, record
from shadowserve.errors import RequestError
from shadowserve.schema.schema import Schema
from shadowserve.wire.infer import model_metadata, server_metadata
from shadowserve.wire.protocol import Purpose
from shadowserve.wire.protocols import PROTOCOLS, protocols

DOCS = Path(__file__).parents[2] / "docs" / "protocol.md"
SCHEMA = Schema.from_signature(SIGNATURE)
TABLE = protocols("films", 3)
INFER = {
    "id": "own",
    "inputs": [
        {"name": "title", "datatype": "BYTES", "shape": [2], "data": ["blue blue", "green green"]},
        {"name": "age", "datatype": "FP64", "shape": [2], "data": [1.0, 2.0]},
    ],
}
SENT = {
    "invocations": body(record(1), record(2)),
    "predict": orjson.dumps({"rows": [record(1), record(2)]}),
    "infer": orjson.dumps(INFER),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_same_rows_come_through_every_door(name):
    rows, echo = TABLE[name].parse(SENT[name], "application/json", SCHEMA)
    assert rows.n_rows == 2
    assert rows.columns["age"].tolist() == [1.0, 2.0]
    assert rows.columns["title"].tolist() == ["blue blue", "green green"]
    assert echo == ("own" if name == "infer" else None)


@pytest.mark.parametrize("name", TABLE)
def test_an_answer_is_read_back_as_it_left(name):
    told = TABLE[name].encode(np.array([1.5, 2.5]), echo="own")
    assert list(TABLE[name].read(told)) == [1.5, 2.5]


@pytest.mark.parametrize("name", TABLE)
def test_nan_leaves_as_null(name):
    told = TABLE[name].encode(np.array([np.nan, 1.0]), echo=None)
    assert b"NaN" not in told
    assert list(TABLE[name].read(told)) == [None, 1.0]


@pytest.mark.parametrize("name", TABLE)
def test_a_refusal_is_json_in_the_form_of_its_protocol(name):
    error = RequestError("what is wrong", code="wrong_type", column="age", row=1)
    told = json.loads(TABLE[name].refuse(error, "r1"))["error"]
    if name == "infer":
        assert told == "what is wrong"
    else:
        assert told == {
            "code": "wrong_type",
            "message": "what is wrong",
            "column": "age",
            "row": 1,
            "request_id": "r1",
        }


@pytest.mark.parametrize(
    "sent",
    [{"dataframe_records": []}, {"rows": [], "more": 1}, [], "rows", {"rows": 3}, {"rows": []}],
)
def test_predict_takes_rows_and_nothing_else(sent):
    with pytest.raises(RequestError):
        TABLE["predict"].parse(orjson.dumps(sent), "application/json", SCHEMA)


def test_metadata_names_model_version_and_inputs():
    told = json.loads(model_metadata(SCHEMA, "films", 3))
    assert (told["name"], told["versions"]) == ("films", ["3"])
    assert {one["name"]: one["datatype"] for one in told["inputs"]} == {
        "age": "FP64",
        "title": "BYTES",
    }
    assert json.loads(server_metadata(SCHEMA, "films", 3))["extensions"] == []


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_every_protocol_is_in_the_docs(protocol):
    scored = [route.path for route in protocol.routes if route.purpose is Purpose.SCORE]
    assert f"`POST {scored[0]}`" in DOCS.read_text("utf-8")


def test_no_two_protocols_have_a_name_or_a_path_in_common():
    names = [protocol.name for protocol in PROTOCOLS]
    assert len(set(names)) == len(names)
    for protocol in PROTOCOLS:
        for route in protocol.routes:
            owners = [other.name for other in PROTOCOLS if other.owns(route.path)]
            assert owners in ([protocol.name], []), route.path
            assert owners or not route.names_model
