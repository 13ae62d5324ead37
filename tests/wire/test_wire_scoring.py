"""MLflow's scoring protocol: one typed result whichever form it came in, or a refusal."""

from __future__ import annotations

import json

import numpy as np
import pytest

from shadowserve.errors import RequestError
from shadowserve.schema.rows import Rows
from shadowserve.schema.schema import Column, Schema
from shadowserve.wire import limits, parse

JSON = "application/json"
AB = Schema(columns=(Column("a", "long"), Column("b", "string")))
ONE = Schema(columns=(Column("a", "double"),))
NUMBERED = Schema.from_signature({"inputs": [{"type": "double"}, {"type": "double"}]})
TEXT = Schema.from_signature({"inputs": [{"type": "string"}]})
NESTED = Schema.from_signature(
    {
        "inputs": [
            {"name": "a", "type": "array", "items": {"type": "long"}},
            {"name": "o", "type": "object", "properties": {"x": {"type": "string"}}},
        ]
    }
)


def tensor_schema(*tensors: tuple[str | None, str, list[int]]) -> Schema:
    entries = [
        {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": shape}}
        | ({"name": name} if name else {})
        for name, dtype, shape in tensors
    ]
    return Schema.from_signature({"inputs": entries})


LONE = tensor_schema((None, "float64", [-1, 4]))
PAIR = tensor_schema(("u", "float32", [-1, 2]), ("v", "int64", [-1]))


def ask(schema: Schema, document: object) -> Rows:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return parse(body, JSON, schema)


def values(rows: Rows) -> dict:
    return {name: column.tolist() for name, column in rows.columns.items()}


@pytest.mark.parametrize(
    "document",
    [
        {"dataframe_records": [{"a": 1, "b": "x"}, {"b": "y", "a": 2}]},
        {"dataframe_split": {"columns": ["b", "a"], "data": [["x", 1], ["y", 2]]}},
        {"dataframe_split": {"columns": ["a", "b"], "index": [7, 7], "data": [[1, "x"], [2, "y"]]}},
        {"instances": [{"a": 1, "b": "x"}, {"b": "y", "a": 2}]},
        {"instances": {"a": [1, 2], "b": ["x", "y"]}},
        {"inputs": [{"a": 1, "b": "x"}, {"b": "y", "a": 2}]},
        {"inputs": {"b": ["x", "y"], "a": [1, 2]}},
        {"inputs": {"b": ["x", "y"], "a": [1, 2]}, "params": {"t": 1}},
    ],
)
def test_every_form_gives_the_same_columns(document):
    assert values(ask(AB, document)) == {"a": [1, 2], "b": ["x", "y"]}


@pytest.mark.parametrize(
    ("schema", "document", "wanted"),
    [
        (AB, {"inputs": {"a": 1, "b": "x"}}, {"a": [1], "b": ["x"]}),
        (ONE, {"inputs": [1, 2]}, {"a": [1, 2]}),
        (ONE, {"instances": [1, 2]}, {"a": [1, 2]}),
        (NUMBERED, {"inputs": [[1, 2], [3, 4]]}, {0: [1, 3], 1: [2, 4]}),
        (NUMBERED, {"dataframe_split": {"data": [[1, 2]]}}, {0: [1], 1: [2]}),
        (
            NUMBERED,
            {"dataframe_split": {"columns": ["p", "q"], "data": [[1, 2]]}},
            {0: [1], 1: [2]},
        ),
        (
            NUMBERED,
            {"dataframe_records": [{"p": 1, "q": 2}, {"q": 4, "p": 3}]},
            {0: [1, 3], 1: [2, 4]},
        ),
        (TEXT, {"inputs": ["x", "y"]}, {0: ["x", "y"]}),
        (TEXT, {"inputs": "x"}, {0: ["x"]}),
        (NESTED, {"inputs": {"a": [1, 2], "o": {"x": "s"}}}, {"a": [[1, 2]], "o": [{"x": "s"}]}),
        (
            NESTED,
            {"dataframe_records": [{"a": [1], "o": {"x": "s"}}]},
            {"a": [[1]], "o": [{"x": "s"}]},
        ),
    ],
)
def test_the_forms_of_unnamed_lone_and_nested_columns(schema, document, wanted):
    assert values(ask(schema, document)) == wanted


@pytest.mark.parametrize(
    "document",
    [
        {"inputs": [[1, 2, 3, 4]]},
        {"instances": [[1, 2, 3, 4]]},
        {"dataframe_split": {"columns": ["p", "q", "r", "s"], "data": [[1, 2, 3, 4]]}},
        {"dataframe_split": {"data": [[1, 2, 3, 4]]}},
        {"dataframe_records": [{"p": 1, "q": 2, "r": 3, "s": 4}]},
        {"dataframe_records": [{"p": [1, 2, 3, 4]}]},
    ],
)
def test_a_tensor_model_takes_lists_and_named_frames(document):
    rows = ask(LONE, document)
    np.testing.assert_array_equal(rows.tensor, [[1.0, 2.0, 3.0, 4.0]])
    assert rows.n_rows == 1


@pytest.mark.parametrize(
    "document",
    [
        {"inputs": {"u": [[1, 2]], "v": [3]}},
        {"instances": [{"u": [1, 2], "v": 3}]},
        {"dataframe_split": {"columns": ["v", "u"], "data": [[3, [1, 2]]]}},
    ],
)
def test_named_tensors_come_by_name(document):
    rows = ask(PAIR, document)
    assert {k: v.tolist() for k, v in rows.tensor.items()} == {"u": [[1.0, 2.0]], "v": [3]}
    assert rows.tensor["u"].dtype == np.float32


@pytest.mark.parametrize(
    ("schema", "document", "code"),
    [
        (AB, b"", "empty"),
        (AB, b"  \n", "empty"),
        (AB, b"null", "wrong_protocol"),
        (AB, [], "wrong_protocol"),
        (AB, {}, "wrong_protocol"),
        (AB, [{"a": 1}], "wrong_protocol"),
        (AB, {"columns": ["a"], "data": [[1]]}, "wrong_protocol"),
        (AB, {"dataframe_records": [], "instances": []}, "wrong_protocol"),
        (AB, {"dataframe_records": [{"a": 1, "b": "x"}], "parms": {}}, "wrong_protocol"),
        (AB, {"params": {}}, "wrong_protocol"),
        (AB, {"dataframe_records": []}, "empty"),
        (AB, {"dataframe_records": [{}]}, "empty"),
        (AB, {"dataframe_records": [{"a": 1, "b": "x"}, {}]}, "empty"),
        (AB, {"dataframe_records": None}, "wrong_protocol"),
        (AB, {"dataframe_records": {"a": 1}}, "wrong_protocol"),
        (AB, {"dataframe_records": [[1, "x"]]}, "not_a_record"),
        (AB, {"dataframe_records": [{"a": 1, "b": "x"}, 3]}, "not_a_record"),
        (AB, {"dataframe_split": {"columns": ["a", "b"], "data": []}}, "empty"),
        (AB, {"dataframe_split": {"columns": ["a", "b"], "data": [[]]}}, "empty"),
        (AB, {"dataframe_split": {"columns": ["a", "b"], "data": [[1, "x"], [2]]}}, "ragged_rows"),
        (AB, {"dataframe_split": {"columns": ["a"], "data": [[1, "x"]]}}, "ragged_rows"),
        (AB, {"dataframe_split": {"columns": ["a", "a"], "data": [[1, "x"]]}}, "duplicate_key"),
        (AB, {"dataframe_split": {"columns": ["a", True], "data": [[1, "x"]]}}, "wrong_protocol"),
        (
            AB,
            {"dataframe_split": {"columns": ["a", "b"], "data": [{"a": 1, "b": "x"}]}},
            "not_a_record",
        ),
        (AB, {"dataframe_split": {"columns": ["a", "b"], "rows": []}}, "wrong_protocol"),
        (
            AB,
            {"dataframe_split": {"columns": ["a", "b"], "data": [[1, "x"]], "x": 1}},
            "wrong_protocol",
        ),
        (AB, {"dataframe_split": {"data": [[1, "x"]]}}, "unnamed_values"),
        (AB, {"inputs": [[1, "x"]]}, "unnamed_values"),
        (AB, {"inputs": []}, "empty"),
        (AB, {"inputs": {}}, "empty"),
        (AB, {"inputs": {"a": [], "b": []}}, "empty"),
        (AB, {"inputs": {"a": [1, 2], "b": ["x"]}}, "ragged_rows"),
        (AB, {"inputs": {"a": [1], "b": "x"}}, "ragged_rows"),
        (AB, {"inputs": 3}, "wrong_protocol"),
        (AB, {"inputs": {"a": [1]}}, "missing_column"),
        (AB, {"inputs": {"a": [[1]], "b": ["x"]}}, "wrong_type"),
        (ONE, {"inputs": [[1], [2]]}, "wrong_type"),
        (NUMBERED, {"inputs": [1, 2]}, "not_a_record"),
        (NUMBERED, {"inputs": [[1, 2, 3]]}, "wrong_width"),
        (NUMBERED, {"inputs": {"p": [1], "q": [2]}}, "wrong_protocol"),
        (LONE, {"inputs": [[1, 2, 3]]}, "wrong_shape"),
        (LONE, {"inputs": []}, "empty"),
        (LONE, {"inputs": {"x": [[1, 2, 3]]}}, "wrong_shape"),
        (PAIR, {"inputs": {"u": [[1, 2]]}}, "missing_column"),
        (PAIR, {"inputs": {"u": [[1, 2], [3, 4]], "v": [3]}}, "ragged_rows"),
        (PAIR, {"inputs": {"u": [[1, 2]], "v": [3.5]}}, "wrong_type"),
        (PAIR, {"inputs": [[1, 2]]}, "unnamed_values"),
        (AB, {"dataframe_records": [{"a": 1, "b": "x"}], "params": 3}, "wrong_param"),
    ],
)
def test_what_is_not_the_protocol_is_refused_with_its_code(schema, document, code):
    with pytest.raises(RequestError) as caught:
        ask(schema, document)
    assert (caught.value.code, caught.value.status) == (code, 400)


@pytest.mark.parametrize(
    ("limit", "document"),
    [
        ("MAX_ROWS", {"dataframe_records": [{"a": 1, "b": "x"}] * 3}),
        ("MAX_ROWS", {"inputs": {"a": [1] * 3, "b": ["x"] * 3}}),
        ("MAX_ROWS", {"dataframe_split": {"columns": ["a", "b"], "data": [[1, "x"]] * 3}}),
        ("MAX_COLUMNS", {"dataframe_records": [{"a": 1, "b": "x", "c": 1}]}),
        ("MAX_COLUMNS", {"inputs": {"a": 1, "b": "x", "c": 1}}),
    ],
)
def test_too_many_rows_or_columns_are_a_413_that_says_the_limit(monkeypatch, limit, document):
    monkeypatch.setattr(limits, limit, 2)
    with pytest.raises(RequestError, match="2 are the limit") as caught:
        ask(AB, document)
    assert caught.value.status == 413


@pytest.mark.parametrize("n_rows", [1, 75, 480, 100_000])
def test_any_number_of_rows_below_the_limit_is_taken(n_rows):
    rows = ask(ONE, {"inputs": {"a": [1.5] * n_rows}})
    assert rows.n_rows == n_rows


def test_a_thousand_columns_are_taken():
    schema = Schema(columns=tuple(Column(f"f{n}", "long") for n in range(1000)))
    rows = ask(schema, {"dataframe_records": [{f"f{n}": n for n in reversed(range(1000))}]})
    assert [column[0] for column in rows.columns.values()] == list(range(1000))


def test_columns_named_by_number_come_as_text_or_number():
    schema = Schema(columns=(Column(0, "long"), Column(1, "long")))
    wanted = {0: [1], 1: [2]}
    assert values(ask(schema, {"dataframe_records": [{"1": 2, "0": 1}]})) == wanted
    assert values(ask(schema, {"dataframe_split": {"columns": [1, 0], "data": [[2, 1]]}})) == wanted
    assert values(ask(schema, {"inputs": [[1, 2]]})) == wanted


ELEVEN = sorted(str(n) for n in range(11))  # as text: 0, 1, 10, 2
BY_NUMBER = {key: int(key) for key in ELEVEN}
TABLES = [
    {"dataframe_records": [BY_NUMBER]},
    {"dataframe_split": {"columns": ELEVEN, "data": [[int(key) for key in ELEVEN]]}},
    {"instances": [BY_NUMBER]},
    f"{','.join(ELEVEN)}\n{','.join(ELEVEN)}\n".encode(),
]


@pytest.mark.parametrize(
    ("schema", "document"),
    [
        *(
            (Schema.from_signature({"inputs": [{"type": "double"}] * 11}), table)
            for table in TABLES
        ),
        *((tensor_schema((None, "float64", [-1, 11])), table) for table in TABLES),
        (
            tensor_schema((None, "float64", [-1, 11])),
            {"inputs": {key: [int(key)] for key in ELEVEN}},
        ),
    ],
)
def test_features_that_are_numbered_are_found_in_any_order_of_their_numbers(schema, document):
    kind = "text/csv" if isinstance(document, bytes) else JSON
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    rows = parse(body, kind, schema)
    given = rows.tensor[0] if schema.tensors else [column[0] for column in rows.columns.values()]
    assert list(given) == list(range(11))


def test_a_table_for_an_unnamed_tensor_comes_by_row_or_by_column():
    wanted = [[1.0, 2.0, 3.0, 4.0]]
    row = dict(zip("abcd", wanted[0], strict=True))
    for document in (
        {"inputs": [row]},
        {"inputs": row},
        {"inputs": {key: [value] for key, value in row.items()}},
        {"inputs": {"x": wanted}},
    ):
        np.testing.assert_array_equal(ask(LONE, document).tensor, wanted)


def test_params_reach_the_rows_typed_with_defaults():
    spec = {
        "inputs": [{"name": "a", "type": "double"}],
        "params": [{"name": "t", "type": "double", "default": 0.5, "shape": None}],
    }
    schema = Schema.from_signature(spec)
    assert ask(schema, {"inputs": {"a": [1]}, "params": {"t": 1, "x": 2}}).params == {"t": 1.0}
    assert ask(schema, {"inputs": {"a": [1]}}).params == {"t": 0.5}
    assert ask(schema, {"inputs": {"a": [1]}, "params": {"x": 2}}).extra == ("params.x",)


def test_with_nothing_known_a_bare_array_is_a_float_array():
    rows = ask(Schema.open(), {"inputs": [[1, 2.5], [None, 4]]})
    np.testing.assert_array_equal(rows.tensor, [[1, 2.5], [np.nan, 4]])


@pytest.mark.parametrize(
    "content_type",
    [
        JSON,
        "application/json; charset=UTF-8",
        "Application/JSON;charset=utf-8",
        'application/json; charset="utf-8"',
    ],
)
def test_json_content_types(content_type):
    assert parse(b'{"inputs":{"a":[1]}}', content_type, ONE).n_rows == 1


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin-1",
        "application/json; foo=1",
        "application/json; header=absent",
        "text/csv; header=maybe",
        "application/vnd.apache.parquet",
    ],
)
def test_other_content_types_are_a_415(content_type):
    with pytest.raises(RequestError) as caught:
        parse(b'{"inputs":{"a":[1]}}', content_type, ONE)
    assert caught.value.status == 415
