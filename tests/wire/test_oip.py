"""The Open Inference Protocol: the same columns as the scoring protocol, in its own forms."""

from __future__ import annotations

import enum
import json

import numpy as np
import pandas as pd
import pytest

from shadowserve.errors import AnswerError, RequestError
from shadowserve.schema.schema import Column, Schema
from shadowserve.wire import infer, oip, parse

JSON = "application/json"
AB = Schema(
    columns=(
        Column("a", "long"),
        Column("b", "string"),
        Column("d", "double"),
        Column("f", "boolean"),
    )
)


class Colour(str, enum.Enum):  # noqa: UP042 - of the kind that numpy takes for text
    RED = "red"


def tensor(
    name: str, datatype: str, data: list, *, shape: list[int] | None = None, **more: object
) -> dict:
    return {"name": name, "shape": shape or [len(data)], "datatype": datatype, "data": data, **more}


def ask(schema: Schema, *inputs: dict, **more: object):
    return infer.PROTOCOL.parse(json.dumps({"inputs": list(inputs), **more}).encode(), JSON, schema)


def test_one_input_a_column_gives_the_scoring_protocols_rows():
    rows, echo = ask(
        AB,
        tensor("f", "BOOL", [True, False]),
        tensor("b", "BYTES", ["x", "y"], shape=[2, 1]),
        tensor("d", "FP32", [[1.5], [None]], shape=[2, 1]),
        tensor("a", "INT8", [1, 2]),
        id="r1",
    )
    records = [{"a": 1, "b": "x", "d": 1.5, "f": True}, {"a": 2, "b": "y", "d": None, "f": False}]
    wanted = parse(json.dumps({"dataframe_records": records}).encode(), JSON, AB)
    assert echo == "r1"
    for name, column in wanted.columns.items():
        np.testing.assert_array_equal(rows.columns[name], column, strict=True)


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4]]])
def test_a_tensor_comes_flat_or_nested(data):
    spec = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}]
    rows, _ = ask(Schema.from_signature({"inputs": spec}), tensor("x", "FP64", data, shape=[2, 2]))
    np.testing.assert_array_equal(rows.tensor, [[1, 2], [3, 4]])


NESTED = [
    {"name": "tags", "type": "array", "items": {"type": "string"}},
    {"name": "shop", "type": "object", "properties": {"id": {"type": "long"}}},
    {"name": "per", "type": "map", "values": {"type": "double"}, "required": False},
    {"name": "free", "type": "any"},
]
VALUES = {"tags": ["x", "[]"], "shop": {"id": 1}, "per": None, "free": "[1]"}


def texts(values: dict, *, shape: list[int] | None = None) -> list[dict]:
    """Each value as BYTES: nested ones as JSON text, null and text as they are."""
    made = {k: v if v is None or k == "free" else json.dumps(v) for k, v in values.items()}
    return [tensor(name, "BYTES", [text], shape=shape) for name, text in made.items()]


@pytest.mark.parametrize("shape", [[1], [1, 1]])
def test_nested_columns_come_as_json_text_and_are_typed_by_the_same_rule(shape):
    schema = Schema.from_signature({"inputs": NESTED})
    rows, _ = ask(schema, *texts(VALUES, shape=shape))
    body = json.dumps({"dataframe_records": [VALUES]}).encode()
    wanted = parse(body, "application/json", schema)
    assert [rows.columns[n].tolist() for n in VALUES] == [[v] for v in VALUES.values()]
    assert {n: c.tolist() for n, c in rows.columns.items()} == {
        n: c.tolist() for n, c in wanted.columns.items()
    }
    described = json.loads(infer.model_metadata(schema, "m", 3))["inputs"]
    assert {each["datatype"] for each in described} == {"BYTES"}


def test_numbered_nested_columns_come_as_json_text_too():
    lone = Schema.from_signature({"inputs": [{"type": "array", "items": {"type": "long"}}]})
    for shape in ([2], [2, 1]):
        rows, _ = ask(lone, tensor("x", "BYTES", ["[1]", "[2, 3]"], shape=shape))
        assert rows.columns[0].tolist() == [[1], [2, 3]]
    unnamed = [{key: value for key, value in each.items() if key != "name"} for each in NESTED[:2]]
    rows, _ = ask(Schema.from_signature({"inputs": unnamed}), *texts(VALUES)[:2])
    assert [column.tolist() for column in rows.columns.values()] == [[["x", "[]"]], [{"id": 1}]]
    with pytest.raises(RequestError, match="1 value, 2 are expected"):
        ask(Schema.from_signature({"inputs": unnamed}), *texts(VALUES)[:1])


@pytest.mark.parametrize(
    ("name", "text", "code", "said"),
    [
        ("tags", "s3cret", "bad_json", "Column 'tags', row 0: JSON text is expected (array)"),
        ("tags", "", "bad_json", "row 0: JSON text is expected"),
        ("tags", '["s3cret"', "bad_json", "a string that is none came"),
        ("tags", '"s3cret"', "wrong_type", "Column 'tags', row 0"),
        ("tags", "[1]", "wrong_type", "Column 'tags', row 0 at [0]"),
        ("shop", '{"id": "s3cret"}', "wrong_type", "Column 'shop', row 0 at .id"),
        ("shop", '{"id": 1, "id": 1}', "duplicate_key", "one with a key twice"),
        ("tags", "[" * 100 + "]" * 100, "too_deep", "nested too deeply"),
        ("tags", "null", "wrong_type", "Column 'tags', row 0"),
    ],
)
def test_a_json_text_that_does_not_fit_is_refused_by_column_and_row(name, text, code, said):
    schema = Schema.from_signature({"inputs": NESTED})
    inputs = {each["name"]: each for each in texts(VALUES)} | {name: tensor(name, "BYTES", [text])}
    with pytest.raises(RequestError) as caught:
        ask(schema, *inputs.values())
    assert (caught.value.code, caught.value.column, caught.value.row) == (code, name, 0)
    assert said in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_numbered_columns_come_as_one_matrix():
    schema = Schema.from_signature({"inputs": [{"type": "double"}, {"type": "double"}]})
    rows, _ = ask(schema, tensor("x", "FP64", [1, 2, 3, 4], shape=[2, 2]))
    assert rows.columns[1].tolist() == [2.0, 4.0]


@pytest.mark.parametrize("shape", [[2], [2, 1]])
@pytest.mark.parametrize(
    "entries",
    [
        [{"type": "double"}, {"type": "double"}],
        [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}],
    ],
    ids=["numbered", "tensor"],
)
def test_numbered_columns_come_as_one_input_each_in_any_order(entries, shape):
    schema = Schema.from_signature({"inputs": entries})
    one, two = (tensor(str(n), "FP64", [n, n + 0.5], shape=shape) for n in range(2))
    for inputs in ((one, two), (two, one)):
        rows, _ = ask(schema, *inputs)
        given = (
            rows.tensor if rows.tensor is not None else np.column_stack([*rows.columns.values()])
        )
        np.testing.assert_array_equal(given, [[0, 1], [0.5, 1.5]])
    with pytest.raises(RequestError, match="with the same n for all"):
        ask(schema, one, tensor("1", "FP64", [1, 2, 3]))


GOOD = (
    tensor("a", "INT64", [1]),
    tensor("b", "BYTES", ["x"]),
    tensor("d", "FP64", [1.5]),
    tensor("f", "BOOL", [True]),
)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        (tensor("a", "INT8", [300]), "wrong_type"),
        (tensor("a", "UINT8", [-1]), "wrong_type"),
        (tensor("a", "FP16", [65505]), "wrong_type"),
        (tensor("a", "INT64", [1.5]), "wrong_type"),
        (tensor("a", "FP64", [1.5]), "wrong_type"),
        (tensor("a", "BYTES", ["1"]), "wrong_type"),
        (tensor("a", "BOOL", [True]), "wrong_type"),
        (tensor("a", "INT64", [1, 2], shape=[1]), "wrong_shape"),
        (tensor("a", "INT64", [1, 2]), "wrong_shape"),
        (tensor("a", "INT64", [1, 2], shape=[1, 2]), "wrong_shape"),
        (tensor("a", "INT64", [[1]], shape=[1]), "wrong_shape"),
        (tensor("a", "INT64", [[1, 2, 3], [4, 5, 6]], shape=[3, 2]), "wrong_shape"),
        (tensor("a", "INT64", [[1], [2, 3], [4]], shape=[2, 2]), "wrong_shape"),
        (tensor("a", "INT64", [[[1]]], shape=[1, 1]), "wrong_shape"),
        (tensor("a", "INT64", [[1], 2], shape=[2, 1]), "wrong_shape"),
        (tensor("a", "INTEGER", [1]), "wrong_protocol"),
        ({"name": "a", "shape": "1", "datatype": "INT64", "data": [1]}, "wrong_protocol"),
        ({"name": "a", "shape": [True], "datatype": "INT64", "data": [1]}, "wrong_protocol"),
        ({"name": "a", "shape": [1], "datatype": "INT64", "data": 1}, "wrong_protocol"),
        ({"name": "a", "shape": [1], "datatype": ["INT64"], "data": [1]}, "wrong_protocol"),
        ({"name": 3}, "wrong_protocol"),
        ({"name": "a", "parameters": [], "shape": [1], "datatype": "INT64"}, "wrong_protocol"),
        (tensor("b", "BYTES", ["x"]), "duplicate_key"),
        (tensor("z", "INT64", [1]), "missing_column"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(changed, code):
    with pytest.raises(RequestError) as caught:
        ask(AB, changed, *GOOD[1:])
    assert (caught.value.code, caught.value.status) == (code, 400)


@pytest.mark.parametrize(("datatype", "value"), [("FP16", 65505.0), ("FP32", -3.5e38)])
def test_a_number_out_of_its_declared_range_is_refused_though_the_column_takes_it(datatype, value):
    with pytest.raises(RequestError, match=f"{datatype} is declared"):
        ask(AB, *GOOD[:2], tensor("d", datatype, [value]), *GOOD[3:])
    ask(AB, *GOOD[:2], tensor("d", "FP64", [value]), *GOOD[3:])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"inputs":{}}',
        b'{"inputs":[]}',
        b'{"inputs":[],"x":1}',
        b'{"inputs":[],"id":3}',
    ],
)
def test_a_body_of_another_form_is_a_400(body):
    with pytest.raises(RequestError) as caught:
        infer.PROTOCOL.parse(body, JSON, AB)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "outputs",
    [5, {}, ["a"], [{}], [{"name": 1}], [{"name": "a", "parameters": {"classification": 2}}]],
)
def test_a_choice_of_outputs_of_another_form_is_a_400(outputs):
    with pytest.raises(RequestError) as caught:
        ask(AB, *GOOD, outputs=outputs)
    assert (caught.value.code, caught.value.status) == ("wrong_protocol", 400)
    ask(AB, *GOOD, outputs=[{"name": "predictions", "parameters": {"binary_data": True}}])


def test_the_binary_extension_is_refused_as_such():
    with pytest.raises(RequestError, match="binary") as caught:
        ask(
            AB,
            {"name": "a", "shape": [1], "datatype": "INT64", "parameters": {"binary_data_size": 8}},
        )
    assert caught.value.status == 415


@pytest.mark.parametrize(
    ("prediction", "outputs"),
    [
        (np.array([1, 2]), [tensor("predictions", "INT64", [1, 2])]),
        (np.array([[0.5, np.nan]]), [tensor("predictions", "FP64", [0.5, None], shape=[1, 2])]),
        (np.array([1], dtype=np.float32), [tensor("predictions", "FP32", [1.0])]),
        (["a", None], [tensor("predictions", "BYTES", ["a", None])]),
        ([[1, 2], [3, 4]], [tensor("predictions", "INT64", [1, 2, 3, 4], shape=[2, 2])]),
        ([[1], [2, 3]], [tensor("predictions", "BYTES", ["[1]", "[2,3]"])]),
        ([{"a": 1}], [tensor("predictions", "BYTES", ['{"a":1}'])]),
        ([1, "x"], [tensor("predictions", "BYTES", ["1", "x"])]),
        (pd.Series([True]), [tensor("predictions", "BOOL", [True])]),
        (
            pd.DataFrame({"p": [0.5], "s": ["x"]}),
            [tensor("p", "FP64", [0.5]), tensor("s", "BYTES", ["x"])],
        ),
        ({"p": np.array([1.5])}, [tensor("p", "FP64", [1.5])]),
        (3.5, [tensor("predictions", "FP64", [3.5])]),
        (np.array(3.5), [tensor("predictions", "FP64", [3.5])]),
        (np.matrix([[1, 2]]), [tensor("predictions", "INT64", [1, 2], shape=[1, 2])]),
        (np.ma.array([1.5, 9.0], mask=[0, 1]), [tensor("predictions", "FP64", [1.5, None])]),
        (np.ma.array([1, 9], mask=[0, 1]), [tensor("predictions", "BYTES", ["1", None])]),
        ([True, 2], [tensor("predictions", "BYTES", ["true", "2"])]),
        ([1.5, 2**53 + 1], [tensor("predictions", "BYTES", ["1.5", "9007199254740993"])]),
        ([1, 2.5], [tensor("predictions", "FP64", [1.0, 2.5])]),
        ([b"hi", "a\nb"], [tensor("predictions", "BYTES", ["aGk=\n", "a\nb"])]),
        ([Colour.RED, "blue"], [tensor("predictions", "BYTES", ["red", "blue"])]),
        (pd.array(["a", None]), [tensor("predictions", "BYTES", ["a", None])]),
        (
            pd.DataFrame({"at": np.array(["2024-03-01", "NaT"], dtype="M8[ns]")}),
            [tensor("at", "BYTES", ["2024-03-01T00:00:00", None])],
        ),
        ({"p": pd.Series([1.5])}, [tensor("p", "FP64", [1.5])]),
        ({"p": pd.DataFrame({"x": [1]})}, [tensor("p", "BYTES", ['{"x":1}'])]),
        (
            [np.array([[0.5, 0.5]]), np.array([[0.2, 0.3, 0.5]])],
            [
                tensor("predictions_0", "FP64", [0.5, 0.5], shape=[1, 2]),
                tensor("predictions_1", "FP64", [0.2, 0.3, 0.5], shape=[1, 3]),
            ],
        ),
    ],
)
def test_predictions_become_outputs(prediction, outputs):
    body = oip.answer(prediction, model="m", version="3", echo="r1")
    assert json.loads(body) == {
        "model_name": "m",
        "model_version": "3",
        "id": "r1",
        "outputs": outputs,
    }


def test_an_answer_is_read_again_by_row():
    assert oip.read_answer(oip.answer(np.array([[1, 2], [3, 4]]), model="m", version="3")) == [
        [1, 2],
        [3, 4],
    ]
    frame = pd.DataFrame({"p": [0.5], "s": ["x"]})
    assert oip.read_answer(oip.answer(frame, model="m", version="3")) == {"p": [0.5], "s": ["x"]}
    for wrong in (
        b'{"predictions":[]}',
        b'{"outputs":[{"name":"p","shape":[5],"data":[1.0]}]}',
        b'{"outputs":[{"name":"p","shape":["a"],"data":[1.0]}]}',
    ):
        with pytest.raises(AnswerError):
            oip.read_answer(wrong)


def test_the_metadata_names_what_the_model_takes():
    described = json.loads(infer.model_metadata(AB, "m", 3))
    assert described["name"] == "m"
    assert [(each["name"], each["datatype"]) for each in described["inputs"]] == [
        ("a", "INT64"),
        ("b", "BYTES"),
        ("d", "FP64"),
        ("f", "BOOL"),
    ]
