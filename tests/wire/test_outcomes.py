"""Bodies of one turn are typed, or refused, as each would be by itself."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from shadowserve.errors import RequestError
from shadowserve.schema.schema import Schema
from shadowserve.wire.protocols import protocols
from shadowserve.wire.together import outcomes

PROTOCOLS = protocols("films", 3)
JSON = "application/json"
COLUMNS = [
    {"name": "age", "type": "double", "required": True},
    {"name": "born", "type": "datetime", "required": False},
    {"name": "n", "type": "long", "required": False},
    {"name": "ok", "type": "boolean", "required": False},
    {"name": "title", "type": "string", "required": False},
]
SCHEMAS = {
    "columns": Schema.from_signature({"inputs": COLUMNS}),
    "params": Schema.from_signature(
        {"inputs": COLUMNS, "params": [{"name": "k", "type": "long", "default": 3, "shape": None}]}
    ),
    "names alone": Schema.from_names([one["name"] for one in COLUMNS]),
    "nothing": Schema.open(),
    "numbered": Schema.from_signature({"inputs": [{"type": "double"}]}),
    "a tensor": Schema.from_signature(
        {"inputs": [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 1]}}]}
    ),
}
WHOLE = '{"age": 1.5, "born": "2026-01-01T00:00:00", "n": 7, "ok": true, "title": "a"}'
LATER = '{"title": "b", "ok": false, "n": 8, "born": "2026-01-02T00:00:00", "age": 2}'
BODIES = [
    ("invocations", f'{{"dataframe_records": [{one}]}}', JSON)
    for one in (
        WHOLE,
        LATER,
        '{"age": 1.5, "born": null, "n": null, "ok": null, "title": null}',
        '{"age": 3, "born": "2026-01-01", "n": 9007199254740993, "ok": true, "title": "\\u00e4"}',
        '{"age": "x", "born": null, "n": 1, "ok": true, "title": "a"}',
        '{"age": null, "born": null, "n": 1, "ok": true, "title": "a"}',
        '{"age": 1, "born": "never", "n": 1, "ok": true, "title": "a"}',
        '{"age": 1, "born": null, "n": 1.5, "ok": true, "title": "a"}',
        '{"age": 1}',
        '{"age": 1, "born": null, "n": 1, "ok": true, "name": "a"}',
        '{"age": 1, "born": null, "n": 1, "ok": true, "title": "a", "more": 1}',
        '{"born": null, "n": 1, "ok": true, "title": "a", "more": 1}',
        "{}",
        "1",
        "[1, 2, 3, 4, 5]",
        f"{WHOLE}, {LATER}",
        "",
    )
] + [
    ("invocations", f'{{"dataframe_records": [{WHOLE}], "params": {{"k": 4}}}}', JSON),
    ("invocations", f'{{"dataframe_records": [{WHOLE}], "params": {{"k": "x"}}}}', JSON),
    ("invocations", '{"dataframe_split": {"columns": ["age"], "data": [[1]]}}', JSON),
    ("invocations", '{"instances": [[1.0]]}', JSON),
    ("invocations", "age\n1\n", "text/csv"),
    ("invocations", f'{{"dataframe_records": [{WHOLE}]}}', "text/html"),
    ("invocations", "{", JSON),
    ("invocations", '{"dataframe_records": [{"age": 1, "age": 2}]}', JSON),
    ("predict", f'{{"rows": [{WHOLE}]}}', JSON),
    ("infer", '{"id": "mine", "inputs": []}', JSON),
]


def told(end) -> object:
    if isinstance(end, RequestError):
        return str(end), end.code, end.column, end.row, end.status
    rows = end.rows
    columns = {
        name: (values.dtype, [(type(each), repr(each)) for each in values.tolist()])
        for name, values in rows.columns.items()
    }
    tensor = None if rows.tensor is None else np.asarray(rows.tensor).tolist()
    rest = (rows.n_rows, dict(rows.params), rows.extra, rows.text, rows.untyped)
    return list(columns.items()), tensor, rest, end.echo


def alone(protocol, body, kind, schema):
    try:
        return protocol.timed_parse(body, kind, schema)
    except RequestError as error:
        return error


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_a_body_is_what_it_is_alone(schema):
    bodies = [(PROTOCOLS[name], body.encode(), kind) for name, body, kind in BODIES]
    expected = [told(alone(*body, schema)) for body in bodies]
    draw = random.Random(7)
    turns = [list(pair) for pair in itertools.product(range(len(bodies)), repeat=2)]
    turns += [draw.choices(range(len(bodies)), k=draw.randint(3, 9)) for _ in range(200)]
    turns += [draw.choices(range(4), k=draw.randint(2, 40)) for _ in range(100)]
    for turn in turns:
        found = outcomes([bodies[n] for n in turn], schema)
        assert [told(end) for end in found] == [expected[n] for n in turn]


def test_rows_of_one_kind_are_typed_in_one_go(monkeypatch):
    calls = []
    schema = SCHEMAS["columns"]
    real = Schema.type_singly
    monkeypatch.setattr(
        Schema,
        "type_singly",
        lambda self, records: calls.append(len(records)) or real(self, records),
    )
    bodies = [(PROTOCOLS[n], body.encode(), kind) for n, body, kind in BODIES[:2] * 2]
    outcomes(bodies, schema)
    assert calls == [4]
    assert all(end.schema_ns > 0 and end.parse_ns > 0 for end in outcomes(bodies, schema))
