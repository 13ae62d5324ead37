"""A request that does not fit together is told which column or row, how long it is, and what to do."""

from __future__ import annotations

import re
import sys
from typing import Any

import orjson
import pytest

from shadowserve.errors import RequestError
from shadowserve.schema.schema import Schema
from shadowserve.wire.protocols import protocols

SIGNATURE = {
    "inputs": [{"name": "age", "type": "long"}, {"name": "title", "type": "string"}]
}  # fmt: skip
NUMBERED = {"inputs": [{"type": "long"}, {"type": "long"}]}
TENSORS = {
    "inputs": [
        {"name": "a", "type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 1]}},
        {"name": "b", "type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 1]}},
    ]
}
PROTOCOLS = protocols("films", 3)


def refused(body: Any, signature: Any = SIGNATURE, protocol: str = "invocations") -> RequestError:
    schema = Schema.from_signature(signature) if signature else Schema.open()
    sent = body if isinstance(body, bytes) else orjson.dumps(body)
    with pytest.raises(RequestError) as caught:
        PROTOCOLS[protocol].parse(sent, "application/json", schema)
    return caught.value


@pytest.mark.parametrize(
    ("body", "signature", "said"),
    [
        (
            {"inputs": {"age": [1, 2, 3], "title": ["a"]}},
            SIGNATURE,
            "'age' has 3 rows, 'title' has 1",
        ),
        ({"inputs": {"age": [1], "title": "a"}}, SIGNATURE, "'title' is no list"),
        ({"inputs": {"a": [[1], [2]], "b": [[1]]}}, TENSORS, "'a' has 2 rows, 'b' has 1"),
        (
            {"dataframe_split": {"columns": ["age"], "data": [[1, "a"]]}},
            SIGNATURE,
            "have 2 values, columns has 1 name.",
        ),
        ({"instances": [[1]]}, NUMBERED, "Row 0 has 1 value, 2 are expected"),
        ({"instances": [[1, 2], [1]]}, NUMBERED, "Row 1 has 1 value, row 0 has 2"),
        ({"dataframe_records": [{"x": 1}, {"y": 1}]}, None, "Row 1 has other keys.*it lacks 'x'"),
        ({"dataframe_records": [{"x": 1}, {"x": 1, "y": 1}]}, None, "'y' is not in row 0"),
    ],
)
def test_what_does_not_fit_is_named_with_its_length(body, signature, said):
    error = refused(body, signature)
    assert error.code in ("ragged_rows", "wrong_width")
    assert re.search(said, str(error)), str(error)


def test_a_null_that_may_not_be_says_how_the_column_could_take_it():
    error = refused({"dataframe_records": [{"age": None, "title": "a"}]})
    assert "Column 'age', row 0" in str(error)
    assert "required=False, or as double" in str(error)
    error = refused({"dataframe_records": [{"age": 1, "title": None}]})
    assert "required=False)" in str(error)


def test_names_in_refusals_are_bounded_and_cannot_act():
    long = "n" * 100_000
    body = {"inputs": [{"name": long, "shape": [1], "datatype": "WRONG", "data": [1]}]}
    assert len(str(refused(body, protocol="infer"))) < 1_000
    body = {"inputs": {"age\x1b[31m\u202e": [1], "title": []}}
    assert str(refused(body, signature=None)).isprintable()


def test_a_shape_of_very_many_dimensions_is_refused_before_it_is_multiplied():
    shape = [2**62] * 100_000
    body = {"inputs": [{"name": "age", "shape": shape, "datatype": "INT64", "data": [1]}]}
    assert "100000 dimensions" in str(refused(body, protocol="infer"))


def calls_of(body: bytes, signature: Any, protocol: str) -> int:
    """Count the Python calls that refusing a body takes: the same on every machine."""
    n = 0

    def count(_frame, event, _argument):
        nonlocal n
        n += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        refused(body, signature, protocol)
    finally:
        sys.setprofile(None)
    return n


MANY = {"inputs": [{"name": f"feature_number_{i}_{'x' * 60}", "type": "long"} for i in range(200)]}


def near_names(size: int) -> bytes:
    """Keys that resemble wanted ones, as long as they are still looked at."""
    names = [f"feature_numbers_{i}_{'x' * 70}" for i in range(size // 100)]
    return orjson.dumps({"dataframe_records": [dict.fromkeys(names, 1)]})


@pytest.mark.parametrize(
    ("make", "signature", "protocol"),
    [
        (near_names, MANY, "invocations"),
        (lambda size: b"[" * size, SIGNATURE, "invocations"),
        (lambda size: b'{"a":' * (size // 5), SIGNATURE, "invocations"),
        (lambda size: b'{"inputs": [' + b"[" * 60 + b"1," * (size // 2) + b"1" + b"]" * 61 + b"}", SIGNATURE, "invocations"),
        (lambda size: orjson.dumps({"dataframe_records": [{"a": i} for i in range(size // 10)]}), MANY, "invocations"),
        (lambda size: orjson.dumps({"dataframe_split": {"columns": ["a"] * (size // 5), "data": [[1] * (size // 5)]}}), MANY, "invocations"),
        (lambda size: orjson.dumps({"inputs": [{"name": f"i{i}", "shape": [1], "datatype": "INT64", "data": [1]} for i in range(size // 60)]}), MANY, "infer"),
        (lambda size: orjson.dumps({"rows": [{"a": 1}] * (size // 8)}), MANY, "predict"),
    ],
    ids=["near names", "arrays", "objects", "deep and wide", "records", "split", "inputs", "rows"],
)  # fmt: skip
def test_refusing_a_request_takes_no_more_than_its_size(make, signature, protocol):
    """A malformed request of some kilobytes must not hold up everybody else."""
    small = calls_of(make(11_000), signature, protocol)
    large = calls_of(make(44_000), signature, protocol)
    assert small < 11_000
    assert large < 5 * small + 5_000
