"""The typing rule as a table, and how requests fit a signature."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from shadowserve.errors import ModelError, RequestError
from shadowserve.schema.scalars import NO_TEXT
from shadowserve.schema.schema import Column, Schema
from shadowserve.schema.tensors import Tensor

REFUSED = object()
NAN = math.nan

# One representative of every kind of JSON value, and what each type makes of it.
VALUES = {
    "one": 1,
    "one point zero": 1.0,
    "fraction": 41.5,
    "minus one": -1,
    "2**31": 2**31,
    "2**53 + 1": 2**53 + 1,
    "2**63": 2**63,
    "2**53 as a float": 2.0**53,  # may have been written as 2**53 + 1
    "1e18 as a float": 1e18,
    "1e40": 1e40,
    "true": True,
    "null": None,
    "text": "x",
    "digits": "1",
    "day": "2024-03-01",
    "moment with offset": "2024-03-01T00:00:00+09:00",
    "30th of February": "2024-02-30",
    "base64": "aGk=",
    "array": [1],
    "object": {"a": 1},
}
ACCEPTED = {
    "boolean": {"true": True},
    "integer": {"one": 1, "one point zero": 1, "minus one": -1},
    "long": {
        "one": 1,
        "one point zero": 1,
        "minus one": -1,
        "2**31": 2**31,
        "2**53 + 1": 2**53 + 1,
    },
    "float": {
        "one": 1.0,
        "one point zero": 1.0,
        "fraction": 41.5,
        "minus one": -1.0,
        "2**31": 2.0**31,
        "2**53 + 1": 2.0**53,
        "2**63": 2.0**63,
        "2**53 as a float": 2.0**53,
        "1e18 as a float": float(np.float32(1e18)),
        "null": NAN,
    },
    "double": {
        "one": 1.0,
        "one point zero": 1.0,
        "fraction": 41.5,
        "minus one": -1.0,
        "2**31": 2.0**31,
        "2**63": 2.0**63,
        "2**53 as a float": 2.0**53,
        "1e18 as a float": 1e18,
        "1e40": 1e40,
        "null": NAN,
    },
    "string": {
        "text": "x",
        "digits": "1",
        "day": "2024-03-01",
        "moment with offset": "2024-03-01T00:00:00+09:00",
        "30th of February": "2024-02-30",
        "base64": "aGk=",
    },
    "binary": {"base64": b"hi"},
    "datetime": {
        "day": np.datetime64("2024-03-01", "ns"),
        "moment with offset": np.datetime64("2024-02-29T15:00", "ns"),
        "null": np.datetime64("NaT", "ns"),
    },
}
OPTIONAL_ACCEPTED = {
    **ACCEPTED,
    "boolean": {"true": True, "null": None},
    "integer": {"one": 1.0, "one point zero": 1.0, "minus one": -1.0, "null": NAN},
    "long": {
        "one": 1.0,
        "one point zero": 1.0,
        "minus one": -1.0,
        "2**31": 2.0**31,
        "null": NAN,
    },
    "string": {**ACCEPTED["string"], "null": NO_TEXT},
    "binary": {"base64": b"hi", "null": None},
}
DTYPES = {
    "boolean": (bool, object),
    "integer": (np.int32, np.float64),
    "long": (np.int64, np.float64),
    "float": (np.float32, np.float32),
    "double": (np.float64, np.float64),
    "string": (object, object),
    "binary": (object, object),
    "datetime": ("datetime64[ns]", "datetime64[ns]"),
}


def schema_of(*columns: Column) -> Schema:
    return Schema(columns=columns)


def same(one: object, other: object) -> bool:
    try:
        return one == other or (one != one and other != other)
    except TypeError:
        return False


@pytest.mark.parametrize("required", [True, False], ids=["required", "optional"])
@pytest.mark.parametrize("label", VALUES)
@pytest.mark.parametrize("type_", ACCEPTED)
def test_every_json_value_is_taken_unchanged_or_refused(type_, label, required):
    table = ACCEPTED if required else OPTIONAL_ACCEPTED
    wanted = table[type_].get(label, REFUSED)
    schema = schema_of(Column("c", type_, required))
    record = {"c": VALUES[label]}
    if wanted is REFUSED:
        with pytest.raises(RequestError) as caught:
            schema.type_records([record])
        assert (caught.value.code, caught.value.column, caught.value.row) == ("wrong_type", "c", 0)
        return
    typed = schema.type_records([record]).columns["c"]
    assert typed.dtype == np.dtype(DTYPES[type_][0 if required else 1])
    assert same(typed[0], wanted)


DOCS = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text("utf-8")
ROWS_OF_DOCS = {
    "`true`, `false`": [True, False],
    "whole number `41`, `41.0`": [41, 41.0],
    "number with a fraction `41.5`": [41.5],
    "string": ["x", "aGk=", "2024-03-01"],
    "`null`, required column": [None],
    "array, object": [[], {}],
}


def test_the_table_in_the_docs_is_the_rule():
    table = re.search(r"\| \| boolean .*?\n\n", DOCS, re.DOTALL).group()
    header, _, dtypes, *lines = (
        [c.strip() for c in line.split("|")[1:-1]] for line in table.split("\n")[:-2]
    )
    assert dtypes[1:] == [np.dtype(DTYPES[type_][0]).name for type_ in header[1:]]
    said = {line[0]: dict(zip(header[1:], line[1:], strict=True)) for line in lines}
    assert said.keys() == {*ROWS_OF_DOCS, "number out of the type's range"}
    for label, values in ROWS_OF_DOCS.items():
        for type_, cell in said[label].items():
            assert any(is_taken(type_, value) for value in values) == bool(cell), (label, type_)


def is_taken(type_: str, value: object) -> bool:
    try:
        schema_of(Column("c", type_)).type_records([{"c": value}])
    except RequestError:
        return False
    return True


def test_every_code_of_a_refusal_is_in_the_docs():
    source = Path(__file__).parents[2] / "shadowserve"
    rooms = ("schema", "wire", "http", "serving", "settings")
    files = [file for room in rooms for file in source.glob(f"{room}/*.py")]
    text = "\n".join(file.read_text("utf-8") for file in files)
    raised = set(re.findall(r'code="(\w+)"', text))
    documented = re.search(r"\| code \| status.*?\n\n", DOCS, re.DOTALL).group()
    assert raised == {
        code
        for line in documented.strip().splitlines()[2:]
        for code in re.findall(r"`(\w+)`", line.split("|")[1])
    }


@pytest.mark.parametrize("required", [True, False], ids=["required", "optional"])
@pytest.mark.parametrize("type_", ACCEPTED)
def test_a_value_and_its_dtype_are_the_same_alone_and_beside_every_neighbour(type_, required):
    table = ACCEPTED if required else OPTIONAL_ACCEPTED
    schema = schema_of(Column("c", type_, required))
    records = [{"c": VALUES[label]} for label in table[type_]]
    together = schema.type_records(records).columns["c"]
    for place, record in enumerate(records):
        alone = schema.type_records([record]).columns["c"]
        assert alone.dtype == together.dtype
        assert same(alone[0], together[place])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2024-03-01 12:30", "2024-03-01T12:30"),
        ("2024-03-01T12:30:15.123456789Z", "2024-03-01T12:30:15.123456789"),
        ("2024-03-01T12:30:15.5-0130", "2024-03-01T14:00:15.5"),
        ("1677-09-22T00:00:00Z", "1677-09-22"),
    ],
)
def test_iso_8601_is_read_to_the_nanosecond_in_utc(text, wanted):
    typed = schema_of(Column("t", "datetime")).type_records([{"t": text}]).columns["t"]
    assert typed[0] == np.datetime64(wanted, "ns")


@pytest.mark.parametrize(
    "text",
    [
        "20240301",
        "01.03.2024",
        "2024-3-1",
        "2024-W09-5",
        "now",
        "",
        "2024-03-01T24:30",
        "2024-03-01T12:30:60",
        "2024-03-01T12:30+25:00",
        "2024-03-01T12:30+01:75",
        "3000-01-01",
        "1600-01-01",
        "\u0662\u0660\u0662\u0664-03-01",
    ],
)
def test_a_date_is_never_guessed(text):
    with pytest.raises(RequestError, match="ISO-8601"):
        schema_of(Column("t", "datetime")).type_records([{"t": text}])


def test_key_order_is_of_no_account_and_columns_follow_the_signature():
    schema = schema_of(Column("a", "long"), Column("b", "string"))
    one = schema.type_records([{"b": "x", "a": 1}])
    assert list(one.columns) == ["a", "b"]
    assert one.columns["a"][0] == 1


def test_a_missing_required_column_is_named_with_the_slip_that_resembles_it():
    schema = schema_of(
        *(Column(f"f{n}", "long") for n in range(11)), Column("tenure_months", "long")
    )
    record = {f"f{n}": n for n in range(11)} | {"tenure_month": 3, "secret": 1}
    with pytest.raises(RequestError) as caught:
        schema.type_records([record])
    assert str(caught.value) == (
        "Request lacks 1 of 12 features: tenure_months. Not known: tenure_month. "
        "Order does not matter."
    )
    assert caught.value.column == "tenure_months"


def test_a_column_that_only_one_row_lacks_is_reported_with_that_row():
    schema = schema_of(Column("a", "long"), Column("b", "double"))
    with pytest.raises(RequestError, match="Row 1 lacks 1 of 2 features: b") as caught:
        schema.type_records([{"a": 1, "b": 2}, {"a": 1}])
    assert caught.value.row == 1


def test_an_optional_column_may_be_absent_and_is_then_null():
    schema = schema_of(Column("a", "long"), Column("b", "long", required=False))
    rows = schema.type_records([{"a": 1}, {"a": 2, "b": 3}])
    np.testing.assert_array_equal(rows.columns["b"], [np.nan, 3.0])


def test_extra_columns_are_ignored_and_named_once():
    schema = schema_of(Column("a", "long"))
    rows = schema.type_records([{"a": 1}, {"x": [[]], "a": 2, "y": None}, {"a": 3, "x": 1}])
    assert rows.extra == ("x", "y")
    assert list(rows.columns) == ["a"]


def test_an_optional_column_replaced_by_a_stranger_is_noticed():
    schema = schema_of(Column("a", "long"), Column("b", "long", required=False))
    assert schema.type_records([{"a": 1, "c": 2}]).extra == ("c",)


@pytest.mark.parametrize("name", [0, "", "0", "with space", "ü", "a.b"])
def test_odd_names_are_kept(name):
    rows = schema_of(Column(name, "long")).type_records([{str(name): 5}])
    assert list(rows.columns) == [name]


def test_names_that_json_cannot_tell_apart_are_refused_at_load():
    with pytest.raises(ModelError, match="cannot tell apart"):
        schema_of(Column(0, "long"), Column("0", "long"))


def test_a_signature_is_read_as_the_model_file_holds_it():
    signature = {
        "inputs": json.dumps(
            [
                {"type": "long", "name": "a", "required": True},
                {"type": "double", "name": "b", "required": False},
                {"type": "array", "items": {"type": "long"}, "name": "c", "required": True},
            ]
        ),
        "outputs": None,
        "params": '[{"name": "t", "default": 0.5, "shape": null, "type": "double"}]',
    }
    schema = Schema.from_signature(signature)
    assert [(c.name, c.type, c.required) for c in schema.columns] == [
        ("a", "long", True),
        ("b", "double", False),
        ("c", "array", True),
    ]
    assert [(p.name, p.default) for p in schema.params] == [("t", 0.5)]
    assert schema.batchable
    assert schema == Schema.from_signature(signature)


def test_a_tensor_signature_has_tensors_and_no_columns():
    spec = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 4]}}]
    schema = Schema.from_signature({"inputs": spec})
    assert schema.tensors == (Tensor(None, "float64", (-1, 4)),)
    assert schema.columns == ()


def test_without_a_signature_strings_stay_strings_and_numbers_are_float64():
    schema = Schema.from_names(["zip", "n", "flag"])
    rows = schema.type_records([{"n": 1, "zip": "02139", "flag": True}])
    assert rows.columns["zip"].tolist() == ["02139"]
    assert rows.columns["n"].dtype == np.float64
    assert rows.columns["flag"].dtype == bool
    assert not schema.batchable


def test_without_a_signature_a_trained_column_is_never_filled_in():
    with pytest.raises(RequestError, match="lacks 1 of 3 features: c"):
        Schema.from_names(["a", "b", "c"]).type_records([{"a": 1, "b": 2}])


def test_with_nothing_known_names_and_order_are_the_requests_own():
    rows = Schema.open().type_records([{"b": "x", "a": None}, {"b": "y", "a": 2}])
    assert list(rows.columns) == ["b", "a"]
    np.testing.assert_array_equal(rows.columns["a"], [np.nan, 2.0])


def test_with_nothing_known_ragged_rows_are_refused():
    with pytest.raises(RequestError, match="Row 1 has other keys"):
        Schema.open().type_records([{"a": 1}, {"b": 1}])


def test_bare_lists_are_refused_where_columns_are_known_by_name():
    schema = schema_of(Column("a", "long"), Column("b", "long"))
    with pytest.raises(RequestError, match="by name") as caught:
        schema.type_lists([[1, 2]])
    assert caught.value.code == "unnamed_values"


def test_bare_lists_are_taken_where_columns_are_numbered():
    schema = Schema.from_signature({"inputs": [{"type": "long"}, {"type": "string"}]})
    rows = schema.type_lists([[1, "x"], [2, "y"]])
    assert {name: values.tolist() for name, values in rows.columns.items()} == {
        0: [1, 2],
        1: ["x", "y"],
    }
    with pytest.raises(RequestError, match=re.escape("Row 1 has 1 value, 2 are expected")):
        schema.type_lists([[1, "x"], [2]])


@pytest.mark.parametrize(
    ("features", "given", "ordered"),
    [
        ((), ["10", "0", "2", "1", "3", "9", "4", "8", "5", "7", "6"], [str(n) for n in range(11)]),
        (("a", "b"), ["b", "a"], ["a", "b"]),
        (("a", "b"), ["b", "c"], ["b", "c"]),
        ((), ["1", "2"], ["1", "2"]),
        (("a",), [], []),
    ],
)
def test_keys_that_say_which_feature_they_are_are_found_in_any_order(features, given, ordered):
    assert Schema(features=features).ordered(given) == ordered


@pytest.mark.parametrize(
    ("shape", "batchable"), [([-1, 2], True), ([1, 2], False), ([-1, -1], False)]
)
def test_requests_share_a_call_where_shapes_allow_it(shape, batchable):
    spec = {"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": shape}}
    assert Schema.from_signature({"inputs": [spec]}).batchable is batchable


NESTED = [
    ({"type": "array", "items": {"type": "long"}}, [1, 2.0], [1, 2]),
    ({"type": "array", "items": {"type": "double"}}, [], []),
    ({"type": "array", "items": {"type": "array", "items": {"type": "string"}}}, [["a"]], [["a"]]),
    ({"type": "map", "values": {"type": "boolean"}}, {"k": True}, {"k": True}),
    ({"type": "any"}, [1, {"a": None}], [1, {"a": None}]),
    (
        {
            "type": "object",
            "properties": {"x": {"type": "string"}, "y": {"type": "double", "required": False}},
        },
        {"x": "s", "y": None},
        {"x": "s", "y": None},
    ),
]


@pytest.mark.parametrize(("spec", "value", "wanted"), NESTED)
def test_nested_values_are_kept_as_python_values(spec, value, wanted):
    schema = Schema.from_signature({"inputs": [{"name": "c", **spec}]})
    typed = schema.type_records([{"c": value}]).columns["c"]
    assert typed.dtype == object
    assert typed[0] == wanted


@pytest.mark.parametrize(
    ("spec", "value", "place"),
    [
        ({"type": "array", "items": {"type": "long"}}, [1, 2.5], "[1]"),
        ({"type": "array", "items": {"type": "long"}}, 3, "row 0:"),
        ({"type": "map", "values": {"type": "string"}}, {"secret": 1}, ".*"),
        ({"type": "object", "properties": {"x": {"type": "string"}}}, {}, "the property 'x'"),
        (
            {"type": "object", "properties": {"x": {"type": "string"}}},
            {"x": "s", "z": 1},
            "not known",
        ),
        (
            {"type": "object", "properties": {"x": {"type": "array", "items": {"type": "long"}}}},
            {"x": [1, "secret"]},
            ".x[1]",
        ),
    ],
)
def test_a_nested_fault_is_placed_without_its_value(spec, value, place):
    schema = Schema.from_signature({"inputs": [{"name": "c", **spec}]})
    with pytest.raises(RequestError, match=re.escape(place)) as caught:
        schema.type_records([{"c": value}])
    assert "secret" not in str(caught.value)


def test_an_optional_nested_column_takes_null():
    spec = {"name": "c", "type": "array", "items": {"type": "long"}, "required": False}
    rows = Schema.from_signature({"inputs": [spec]}).type_records([{"c": None}, {"c": [1]}])
    assert rows.columns["c"].tolist() == [None, [1]]


PARAMS = {
    "params": [
        {"name": "t", "type": "double", "default": 0.5, "shape": None},
        {"name": "k", "type": "long", "default": 3, "shape": None},
        {"name": "l", "type": "string", "default": ["x"], "shape": [-1]},
    ]
}


def test_params_are_typed_and_filled_in():
    schema = Schema.from_signature(PARAMS)
    assert schema.type_params({"t": 1, "zz": 2}) == (
        {"t": 1.0, "k": 3, "l": ["x"]},
        ("params.zz",),
    )
    assert schema.type_params(None)[0] == {"t": 0.5, "k": 3, "l": ["x"]}
    assert schema.type_params({"l": ["p", "q"], "k": None})[0]["k"] is None


@pytest.mark.parametrize(
    "given", [{"t": "1"}, {"k": 1.5}, {"l": "p"}, {"l": None}, {"k": True}, [], "x"]
)
def test_a_wrong_param_is_refused(given):
    with pytest.raises(RequestError) as caught:
        Schema.from_signature(PARAMS).type_params(given)
    assert caught.value.code == "wrong_param"
