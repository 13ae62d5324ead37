"""The OpenAPI document says what the typing rule takes, and every status of every route."""

from __future__ import annotations

import json

import jsonschema_rs
import pytest
from hypothesis import given, settings

from rig import wellformed
from rig.tables import ask, tables
from shadowserve.errors import RequestError
from shadowserve.schema.json_schema import cell
from shadowserve.schema.scalars import Refusal, scalar
from shadowserve.schema.schema import Schema
from shadowserve.serving.openapi import document
from shadowserve.wire import parse
from shadowserve.wire.invocations import takes_csv
from shadowserve.wire.protocols import protocols

PROTOCOLS = protocols("films", 3)
COLUMNS = [
    {"name": "age", "type": "long"},
    {"name": "title", "type": "string", "required": False},
    {"name": "tags", "type": "array", "items": {"type": "string"}},
    {"name": "shop", "type": "object", "properties": {"id": {"type": "long"}}},
    {"name": "per", "type": "map", "values": {"type": "double"}},
    {"name": "free", "type": "any"},
]
TENSOR = {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}
SCHEMAS = {
    "plain": Schema.from_signature({"inputs": COLUMNS[:2]}),
    "nested": Schema.from_signature({"inputs": COLUMNS}),
    "numbered": Schema.from_signature({"inputs": [{"type": "double"}, {"type": "double"}]}),
    "lone": Schema.from_signature({"inputs": [{"name": "a", "type": "double"}]}),
    "tensor": Schema.from_signature({"inputs": [TENSOR]}),
    "tensors": Schema.from_signature({"inputs": [TENSOR | {"name": "u"}, TENSOR | {"name": "v"}]}),
    "names": Schema.from_names(["a", "b"]),
    "open": Schema.open(),
    "params": Schema.from_signature(
        {
            "inputs": COLUMNS[:1],
            "params": [{"name": "t", "type": "double", "default": 1.0, "shape": None}],
        }
    ),
}
NESTED = {"age": 1, "tags": ["x"], "shop": {"id": 1}, "per": {"a": 1.5}, "free": [None, {}]}


def validator(schema: Schema) -> jsonschema_rs.Validator:
    shape = PROTOCOLS["invocations"].described(schema)["application/json"]["schema"]
    return jsonschema_rs.validator_for({"$schema": DRAFT, **shape})


DRAFT = "https://json-schema.org/draft/2020-12/schema"


@settings(max_examples=60)
@given(tables())
def test_whatever_the_typing_rule_takes_the_document_takes(table):
    schema, records = table
    fits = validator(schema)
    keys = list(records[0])
    data = [[record[key] for key in keys] for record in records]
    for sent in (
        {"dataframe_records": records},
        {"dataframe_split": {"columns": keys, "data": data}},
        {"instances": records},
        {"inputs": {key: [record[key] for record in records] for key in keys}},
    ):
        ask(schema, sent)
        fits.validate(json.loads(json.dumps(sent)))


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("nested", {"dataframe_records": [NESTED]}),
        ("nested", {"inputs": NESTED}),
        ("numbered", {"inputs": [[1, 2.5]]}),
        ("numbered", {"dataframe_split": {"data": [[1, 2]]}}),
        ("lone", {"inputs": [1, 2]}),
        ("lone", {"inputs": {"a": 1}}),
        ("tensor", {"instances": [[1, 2]]}),
        ("tensors", {"inputs": {"u": [[1, 2]], "v": [[3, 4]]}}),
        ("tensors", {"instances": [{"u": [1, 2], "v": [3, 4]}]}),
        ("names", {"dataframe_records": [{"a": "x", "b": None}]}),
        ("open", {"inputs": [[1, 2]]}),
        ("params", {"dataframe_records": [{"age": 1}], "params": {"t": 2}}),
    ],
)
def test_every_kind_of_signature_is_described(name, sent):
    ask(SCHEMAS[name], sent)
    validator(SCHEMAS[name]).validate(sent)


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("plain", {"dataframe_records": [{"title": "x"}]}),
        ("plain", {"dataframe_records": [{"age": 1.5}]}),
        ("plain", {"dataframe_records": [{"age": 2**63}]}),
        ("plain", {"dataframe_records": [{"age": None}]}),
        ("plain", {"dataframe_records": [{"age": 1, "title": 2}]}),
        ("plain", {"dataframe_records": []}),
        ("plain", {"dataframe_records": [{"age": 1}], "parms": {}}),
        ("plain", {"inputs": [[1, "x"]]}),
        ("nested", {"dataframe_records": [NESTED | {"shop": {}}]}),
        ("nested", {"dataframe_records": [NESTED | {"tags": [1]}]}),
        ("numbered", {"inputs": [[1, 2, 3]]}),
        ("tensor", {"inputs": [[1, 2, 3]]}),
    ],
)
def test_what_the_rule_refuses_by_kind_the_document_refuses(name, sent):
    with pytest.raises(RequestError):
        ask(SCHEMAS[name], sent)
    assert not validator(SCHEMAS[name]).is_valid(sent)


TAKEN = {
    "datetime": ["1677-12-31", "2262-01-01T23:59", "2024-02-29 12:00:59.123456789+2359", "2024-03-01T00:00Z"],
    "binary": ["", "aGk=", "aGk=\n", "\naA\n==", "AAEC", "AA\nEC\n"],
}  # fmt: skip
REFUSED = {
    "datetime": ["2024-13-01", "2024-00-10", "1500-01-01", "2024-03-01T24:00", "2024-3-1", "x"],
    "binary": ["a", "aGk", "a===", "a-k=", "é"],
}


@pytest.mark.parametrize("type_", TAKEN)
def test_patterns_are_the_rules_own(type_):
    rule, shape = scalar(type_), {"$schema": DRAFT, **cell(type_)}
    fits = jsonschema_rs.validator_for(shape)
    for text in TAKEN[type_]:
        rule(text)
        assert fits.is_valid(text), text
    for text in REFUSED[type_]:
        with pytest.raises(Refusal):
            rule(text)
        assert not fits.is_valid(text), text


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_documents_own_examples_are_taken(name):
    schema = SCHEMAS[name]
    for protocol in PROTOCOLS.values():
        sent = protocol.described(schema)["application/json"].get("example")
        assert sent is not None or name not in ("plain", "lone", "params")
        if sent is not None:
            body = json.dumps(sent).encode()
            assert protocol.parse(body, "application/json", schema)[0].n_rows == 1


EVERY_TYPE = Schema.from_signature(
    {
        "inputs": [{"name": type_, "type": type_} for type_ in wellformed.TYPES]
        + [
            {"name": f"maybe {type_}", "type": type_, "required": False}
            for type_ in wellformed.TYPES
        ],
        "params": [{"name": "t", "type": "double", "default": 1.0, "shape": None}],
    }
)
TOLD = wellformed.read(document(EVERY_TYPE, model="films", version=3))


@settings(max_examples=150)
@given(wellformed.bodies(TOLD))
def test_what_the_fuzzer_calls_well_formed_is_taken(body):
    name = {"/invocations": "invocations", "/predict": "predict"}.get(body.path, "infer")
    rows, _ = PROTOCOLS[name].parse(body.sent, body.media, EVERY_TYPE)
    assert list(rows.columns) == [column.name for column in EVERY_TYPE.columns]


def test_the_fuzzer_writes_every_form_and_leaves_nested_columns_alone():
    row = dict.fromkeys(TOLD.columns)
    forms = {body.form for body in wellformed.written(TOLD, [row])}
    assert forms == {
        "dataframe_records", "dataframe_split", "instances by row", "instances by column",
        "inputs by row", "inputs by column", "inputs of one row", "rows", "infer", "csv",
    }  # fmt: skip
    for name in ("nested", "numbered", "tensor", "open"):
        assert wellformed.read(document(SCHEMAS[name], model="films", version=3)) is None


@pytest.mark.parametrize("name", SCHEMAS)
def test_csv_is_offered_exactly_where_it_is_taken(name):
    def is_taken(schema: Schema) -> bool:
        try:
            parse(b"a\n1\n", "text/csv", schema)
        except RequestError as error:
            return error.status != 415
        return True

    assert takes_csv(SCHEMAS[name]) == is_taken(SCHEMAS[name])


def test_probes_are_open_and_all_else_wants_the_token_where_there_is_one():
    guarded = document(SCHEMAS["plain"], model="films", version=3, guarded=True)
    assert guarded["security"] == [{"token": []}]
    live = guarded["paths"]["/livez"]["get"]
    assert live["security"] == []
    assert "401" not in live["responses"]
    assert "401" in guarded["paths"]["/invocations"]["post"]["responses"]
    open_ = document(SCHEMAS["plain"], model="films", version=3)
    assert "401" not in json.dumps(open_)


def test_every_reference_points_to_something():
    described = document(SCHEMAS["nested"], model="films", version=3)
    known = described["components"]["schemas"]
    found = json.dumps(described).split('"$ref": "#/components/schemas/')[1:]
    assert found
    assert all(each.split('"')[0] in known for each in found)
