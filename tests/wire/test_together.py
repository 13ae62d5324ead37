"""Many bodies typed at once are the bodies typed one by one: the same values, the same refusals."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from shadowserve.errors import RequestError
from shadowserve.schema.schema import Schema
from shadowserve.wire import together
from shadowserve.wire.protocols import protocols
from shadowserve.wire.together import parse_all

TABLE = dict(protocols("films", 3))
SCALARS = ("double", "float", "long", "integer", "boolean", "string", "datetime", "binary")
NESTED = [
    {"type": "array", "items": {"type": "double"}},
    {"type": "object", "properties": {"a": {"type": "long", "required": True}}},
    {"type": "map", "values": {"type": "string"}},
]


def schema(*types, required=True, **options):
    inputs = [
        {**(each if isinstance(each, dict) else {"type": each}), "name": f"c {n}", "required": required}
        for n, each in enumerate(types)
    ]  # fmt: skip
    return Schema.from_signature({"inputs": inputs, **options})


SCHEMAS = {
    "required": schema(*SCALARS),
    "optional": schema(*SCALARS, required=False),
    "numbers": schema("double", "long"),
    "one text": schema("string"),
    "nested": schema(*NESTED, "any"),
    "nested, optional": schema(*NESTED, required=False),
    "respelled": Schema(columns=schema("double", "string", required=False).columns, respelled=True),
    "with parameters": schema("double", params=[{"name": "k", "type": "long", "default": 3}]),
    "names alone": Schema.from_names(["c 0", "c 1"]),
    "kinds": Schema.from_names(["c 0", "c 1"], kinds={"c 0": "number", "c 1": "text"}),
    "numbered": Schema.from_signature({"inputs": [{"type": "double"}, {"type": "double"}]}),
    "tensor": Schema.from_signature(
        {"inputs": [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}]}
    ),
    "open": Schema.open(),
}
VALUES = (
    0, 1, -1, 1.0, -0.0, 0.5, 41.5, 1e300, 1e-320, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 1e39,
    True, False, None, "", "a", "é\U0001f600", "1", "1.5", "2020-01-01", "2020-01-01T00:00:00+02:00",
    "1900-01-01", "YWJj", "no base64!", "NaN", [], [1.5], [1, 2], ["a"], [None], {}, {"a": 1}, {"a": None}, {"b": "x"},
)  # fmt: skip
GOOD = {
    "double": (1, 2.5, -0.0, 2**53, None), "float": (1, 2.5, None), "long": (1, 2.0, -(2**63)),
    "integer": (1, 2.0), "boolean": (True, False), "string": ("", "a", "é", "b" * 50),
    "datetime": ("2020-01-01", "1999-12-31T23:59:59"), "binary": ("YWJj", ""), "array": ([1.5], [1, 2.5], []),
    "object": ({"a": 1}, {"a": 5}), "map": ({"k": "v"}, {}), "any": (1, "a", [1], None),
    "unknown": (1, "a", 2.5),
}  # fmt: skip
RAW = (
    b"", b" ", b"{", b"[]", b"null", b"1", b"\xff", b"\xef\xbb\xbf{}", b"1],[2",
    b'{"dataframe_records": [{"c 0": 1, "c 0": 2}]}', b'{"dataframe_records": [{"c 0": NaN, "c 1": 1}]}',
    b'{"dataframe_records": [{"c 0": Infinity}]}', b'{"dataframe_records": [{"c 0": "a:b", "c 1" : "\\":"}]}',
    b'{"dataframe_records": [{}]}', b'{"dataframe_records": []}', b'{"dataframe_records": {"c 0": 1}}',
    b'{"dataframe_records": [1]}', b'{"dataframe_records": [null]}', b'{"dataframe_records": [{"c 0": 1}], "params": {"k": 5}}',
    b'{"dataframe_records": [{"c 0": 1}], "dataframe_split": {}}', b'{"inputs": [{"c 0": 1, "c 1": 2}]}', b'{"inputs": {"c 0": 1, "c 1": 2}}',
    b'{"instances": [[1, 2]]}', b'{"instances": [1.5]}', b'{"dataframe_split": {"data": [[1, 2]]}}',
    b'{"dataframe_split": {"columns": ["c 0", "c 0"], "data": [[1, 2]]}}', b'{"dataframe_split": {"columns": ["c 0"], "data": [[1, 2]]}}',
    b'{"dataframe_split": {"columns": [0, "0"], "data": [[1, 2]]}}', b'{"dataframe_split": {"columns": [true], "data": [[1]]}}',
    b'{"dataframe_split": {"columns": ["c 0"], "data": [[1]], "more": 1}}', b'{"dataframe_split": {"columns": ["c 0"], "data": [[1]], "index": [7]}}',
    b'{"dataframe_split": {"columns": [], "data": [[]]}}', b'{"dataframe_split": {"columns": ["c 0"], "data": [[1], [2]]}}',
    b'{"rows": [{"c 0": 1, "c 1": 2}]}', b'{"rows": {}}', b'{"rows": [{"c 0": 1}], "more": 1}', b"c 0,c 1\n1,2\n",
    b'{"dataframe_records": [{"c_0": 1, "c_1": "a"}]}', b'{"dataframe_records": [{"c 0": 1, "C 1": "a"}]}',
    b'{"dataframe_records": [' + b"[" * 70 + b"]" * 70 + b"]}", b'{"dataframe_records": [{"c 0": ' + b"[" * 70 + b"]" * 70 + b"}]}",
    json.dumps({"dataframe_records": [{f"c {n}": 1 for n in range(10_001)}]}).encode(),
)  # fmt: skip
MEDIA = ("application/json",) * 12 + ("", "text/csv", "text/csv; header=absent", "application/json; charset=latin-1", "text/html")  # fmt: skip


def body(chance, schema, name):
    """Draw a body: mostly good, sometimes with a value, key or form that is not."""
    if chance.random() < 0.15:
        return chance.choice(RAW)
    types = [column.type for column in schema.columns] or ["double", "double"]
    record = {f"c {n}": chance.choice(GOOD[each]) for n, each in enumerate(types)}
    if chance.random() < 0.3:
        record[chance.choice([*record, "more", "c_0"])] = chance.choice(VALUES)
    if chance.random() < 0.15:
        del record[chance.choice(list(record))]
    if chance.random() < 0.5:
        record = dict(chance.sample(sorted(record.items()), len(record)))
    rows = [record] * (2 if chance.random() < 0.1 else 1)
    if name == "predict":
        return json.dumps({"rows": rows}).encode()
    if chance.random() < 0.4:
        data = [list(row.values()) for row in rows]
        return json.dumps({"dataframe_split": {"columns": list(record), "data": data}}).encode()
    return json.dumps({"dataframe_records": rows}).encode()


def told(protocol, sent, schema):
    """Return what typing a body by itself gives: its rows, or how it is refused."""
    try:
        parsed = protocol.timed_parse(*sent, schema)
    except RequestError as error:
        return ("refused", error.code, error.status, str(error), error.column, error.row)
    return plain(parsed)


def plain(parsed):
    rows = parsed.rows
    columns = [
        (name, v.dtype, v.shape, [(type(value), repr(value)) for value in v.tolist()])
        for name, v in rows.columns.items()
    ]
    tensor = (
        rows.tensor
        if rows.tensor is None or isinstance(rows.tensor, dict)
        else rows.tensor.tolist()
    )
    return (columns, rows.n_rows, repr(tensor), dict(rows.params), rows.extra, rows.text, rows.untyped, parsed.echo)  # fmt: skip


@pytest.mark.parametrize("name", ["invocations", "predict"])
@pytest.mark.parametrize("kind", SCHEMAS)
@pytest.mark.parametrize("seed", range(6))
def test_bodies_typed_at_once_are_bodies_typed_one_by_one(kind, name, seed):
    chance, protocol, own = random.Random(f"{kind} {name} {seed}"), TABLE[name], SCHEMAS[kind]
    sent = [(body(chance, own, name), chance.choice(MEDIA)) for _ in range(120)]
    if seed == 0:
        sent += [(raw, "application/json") for raw in RAW]
    found = parse_all(protocol, sent, own)
    assert len(found) == len(sent)
    one_by_one = [told(protocol, each, own) for each in sent]
    for each, at_once, alone in zip(sent, found, one_by_one, strict=True):
        if at_once is not None:
            assert plain(at_once) == alone, each
    typed = sum(one is not None for one in found)
    if own.types_together and not own.params:
        assert 20 < typed < len(sent)
    else:
        assert typed == 0


def test_one_that_is_refused_leaves_the_others_as_they_are():
    own = SCHEMAS["numbers"]
    sent = [(json.dumps({"dataframe_records": [{"c 0": n / 2, "c 1": n}]}).encode(), "application/json") for n in range(64)]  # fmt: skip
    sent[17] = (b'{"dataframe_records": [{"c 0": "x", "c 1": 1}]}', "application/json")
    found = parse_all(TABLE["invocations"], sent, own)
    assert [at for at, one in enumerate(found) if one is None] == [17]
    assert [one.rows.columns["c 1"][0] for one in found if one] == [n for n in range(64) if n != 17]


def test_a_row_that_is_written_into_is_nobody_elses():
    own = SCHEMAS["numbers"]
    sent = [(b'{"dataframe_records": [{"c 0": 1.5, "c 1": 2}]}', "application/json")] * 8
    found = [one.rows for one in parse_all(TABLE["invocations"], sent, own) if one]
    found[3].columns["c 0"][:] = 9.0
    assert [rows.columns["c 0"].tolist() for rows in found] == [[9.0] if n == 3 else [1.5] for n in range(8)]  # fmt: skip


def test_few_bodies_are_left_to_be_typed_one_by_one():
    sent = [(b'{"dataframe_records": [{"c 0": 1.5, "c 1": 2}]}', "application/json")]
    assert parse_all(TABLE["invocations"], sent * (together.FEWEST - 1), SCHEMAS["numbers"]) == [None] * (together.FEWEST - 1)  # fmt: skip
    assert np.all([one is not None for one in parse_all(TABLE["invocations"], sent * together.FEWEST, SCHEMAS["numbers"])])  # fmt: skip
