"""Law 4 of the wire: one meaning in every form, alone and in any batch; and no value ever leaks."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from rig.tables import NULLABLE, ask, tables
from shadowserve.errors import RequestError
from shadowserve.schema.rows import Rows, concat
from shadowserve.schema.schema import Column, Schema
from shadowserve.wire import infer, parse

MARKER = "tell-nobody-4711"
NULLABLE["long"] = st.integers(-(2**53), 2**53) | st.none()


def identical(one: Rows, other: Rows) -> None:
    assert list(one.columns) == list(other.columns)
    assert one.n_rows == other.n_rows
    for name, column in one.columns.items():
        same_values(column, other.columns[name])


def same_values(one: np.ndarray, other: np.ndarray) -> None:
    assert one.dtype == other.dtype
    if one.dtype == object:  # NaN objects are not equal to themselves
        assert list(map(repr, one)) == list(map(repr, other))
    else:
        assert one.tobytes() == other.tobytes()


def as_csv(order: list[str], records: list[dict]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(order)
    for record in records:
        writer.writerow(["" if record[key] is None else record[key] for key in order])
    return text.getvalue().encode()


@settings(max_examples=60)
@given(tables(), st.randoms())
def test_any_form_and_any_order_of_keys_and_columns_give_identical_rows(table, random):
    schema, records = table
    wanted = ask(schema, {"dataframe_records": records})
    order = list(records[0])
    random.shuffle(order)
    shuffled = [{key: record[key] for key in order} for record in records]
    by_column = {key: [record[key] for record in records] for key in order}
    data = [[record[key] for key in order] for record in records]
    identical(wanted, ask(schema, {"dataframe_records": shuffled}))
    identical(wanted, ask(schema, {"dataframe_split": {"columns": order, "data": data}}))
    identical(wanted, ask(schema, {"instances": shuffled}))
    identical(wanted, ask(schema, {"inputs": shuffled}))
    identical(wanted, ask(schema, {"inputs": by_column}))
    identical(wanted, parse(as_csv(order, records), "text/csv", schema))


@settings(max_examples=60)
@given(tables())
def test_a_row_alone_is_bit_identical_to_the_row_in_a_batch(table):
    schema, records = table
    together = ask(schema, {"dataframe_records": records})
    alone = concat([ask(schema, {"dataframe_records": [record]}) for record in records])
    identical(together, alone)


@settings(max_examples=60)
@given(tables(max_rows=2), st.data())
def test_no_refusal_says_a_value(table, data):
    schema, records = table
    column = data.draw(st.sampled_from(schema.columns))
    wrong = data.draw(st.sampled_from([MARKER, [MARKER], {MARKER: MARKER}, [[{MARKER: [MARKER]}]]]))
    assume(not (column.type == "string" and wrong == MARKER))
    records[-1][column.name] = wrong
    for document in (
        {"dataframe_records": records},
        {"inputs": records},
        {
            "dataframe_split": {
                "columns": list(records[0]),
                "data": [[r[key] for key in records[0]] for r in records],
            }
        },
    ):
        with pytest.raises(RequestError) as caught:
            ask(schema, document)
        assert MARKER not in str(caught.value)
        assert caught.value.column == column.name
        assert caught.value.__cause__ is None


FUZZED = [
    Schema(columns=(Column("a", "long"), Column("b", "string", required=False))),
    Schema.from_names(["a", "b"]),
    Schema.open(),
    Schema.from_signature({"inputs": [{"type": "double"}, {"type": "any"}]}),
    Schema.from_signature(
        {"inputs": [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}]}
    ),
    Schema.from_signature(
        {
            "inputs": [
                {"name": "a", "type": "array", "items": {"type": "long"}},
                {"name": "b", "type": "object", "properties": {"x": {"type": "datetime"}}},
            ],
            "params": [{"name": "t", "type": "double", "default": 1.0, "shape": None}],
        }
    ),
    Schema.from_signature(
        {
            "inputs": [
                {"name": n, "type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1, 1]}}
                for n in "ab"
            ]
        }
    ),
]
NAMES = st.sampled_from(["a", "b", "x", "columns", "data", "name", "shape", "datatype", "0", ""])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just("FP32"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)
KEYS = st.sampled_from(
    ["dataframe_records", "dataframe_split", "instances", "inputs", "params", "id", "parameters"]
)
BODIES = st.binary(max_size=40) | st.dictionaries(KEYS, ANYTHING, max_size=2).map(
    lambda document: json.dumps(document).encode()
)


@settings(max_examples=300)
@given(
    BODIES,
    st.sampled_from(FUZZED),
    st.sampled_from(["application/json", "text/csv", "text/csv;header=absent", "oip"]),
)
@example(b'{"inputs":[[[]]]}', FUZZED[2], "application/json")
@example(b'{"inputs":[[]]}', FUZZED[2], "application/json")
def test_arbitrary_bytes_give_rows_or_a_refusal_and_nothing_else(body, schema, content_type):
    try:
        if content_type == "oip":
            rows, _ = infer.PROTOCOL.parse(body, "application/json", schema)
        else:
            rows = parse(body, content_type, schema)
    except RequestError as error:
        refused = error.status in (400, 413, 415)
        assert refused
        return
    assert rows.n_rows > 0
    assert all(len(column) == rows.n_rows for column in rows.columns.values())
