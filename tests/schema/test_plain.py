"""A schema and typed rows come out of another process as they went in."""

from __future__ import annotations

import datetime as dt
import io
import json

import numpy as np
import pytest

from shadowserve.schema.plain import PlainRows, PlainSchema
from shadowserve.schema.rows import Rows
from shadowserve.schema.schema import Schema

SCALAR = ("boolean", "integer", "long", "float", "double", "string", "binary", "datetime")
SIGNATURES = {
    "nothing": None,
    "numbered": {"inputs": [{"type": "double"}, {"type": "string"}]},
    **{kind: {"inputs": [{"name": "a", "type": kind, "required": False}]} for kind in SCALAR},
    "array": {"inputs": [{"name": "a", "type": "array", "items": {"type": "double"}}]},
    "object": {
        "inputs": [{"name": "a", "type": "object", "properties": {"b": {"type": "long", "required": False}}}]
    },
    "any": {"inputs": [{"name": "a", "type": "any"}]},
    "tensor": {"inputs": [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}]},
    "texts": {"inputs": [{"name": "t", "type": "tensor", "tensor-spec": {"dtype": "str", "shape": [-1, 2]}}]},
    "params": {
        "inputs": [{"name": "a", "type": "double"}],
        "params": [{"name": "k", "type": "integer", "default": 3, "shape": None}],
    },
}  # fmt: skip


@pytest.mark.parametrize("signature", SIGNATURES.values(), ids=SIGNATURES)
def test_a_schema_is_put_together_again(signature):
    schema = Schema.from_signature(json.loads(json.dumps(signature)))
    again = PlainSchema.of(schema).schema()
    assert again == schema
    assert again.type_params({"k": 5} if schema.params else None) == schema.type_params(
        {"k": 5} if schema.params else None
    )


def test_names_alone_and_what_goes_with_them_are_kept():
    schema = Schema.from_names(["a", "b"], kinds={"a": "number", "b": "text"})
    again = PlainSchema.of(schema).schema()
    assert again.columns == schema.columns
    assert [c.kind for c in again.columns] == ["number", "text"]


def through(rows: Rows) -> Rows:
    outside, parts = PlainRows.of(rows)
    line = io.BytesIO(b"".join(parts))

    def read(n_bytes: int) -> bytearray:
        found = bytearray(line.read(n_bytes))
        assert len(found) == n_bytes
        return found

    again = outside.rows(read)
    assert not line.read()
    return again


def same(left, right) -> bool:
    return (
        left.dtype == right.dtype
        and left.shape == right.shape
        and list(map(repr, left.ravel().tolist())) == list(map(repr, right.ravel().tolist()))
        and list(map(type, left.ravel().tolist())) == list(map(type, right.ravel().tolist()))
    )


def held(*values) -> np.ndarray:
    array = np.empty(len(values), object)
    for place, value in enumerate(values):
        array[place] = value
    return array


ARRAYS = {
    "floats": np.array([1.5, np.nan, np.inf, -0.0]),
    "single": np.array([1.5, 2.5], "f4"),
    "whole": np.array([2**63 - 1, -1]),
    "truth": np.array([True, False]),
    "moments": np.array(["2026-01-01T00:00:00.000000001", "NaT"], "M8[ns]"),
    "texts": held("a", None, "\u00e4\0", "\U0001f600"),
    "bytes": held(b"a", b"\0", None),
    "lists": held([1, 2], [3], []),
    "lists of one length": held([1, 2], [3, 4]),
    "arrays": held(np.array([1.0, 2.0]), np.array([3.0, 4.0])),
    "objects": held({"a": 1}, {"a": [None]}),
    "days": held(dt.date(2026, 1, 1), float("nan")),
    "many": held(*map(str, range(2_500))),
    "fixed texts": np.array(["ab", "c"], "U2"),
    "two dimensions": np.arange(6.0).reshape(3, 2),
    "columns first": np.asfortranarray(np.arange(6.0).reshape(3, 2)),
    "texts in two dimensions": np.array([["a", "b"], ["c", None]], object),
    "nothing": np.empty((3, 0)),
    "no values": np.empty((0,), object),
}


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_rows_are_put_together_again(array):
    rows = Rows(
        columns={"a": array, 7: array[:1]}, n_rows=len(array), params={"k": [1]}, extra=("x",),
        text=frozenset({"a"}), untyped=frozenset({7}),
    )  # fmt: skip
    again = through(rows)
    assert list(again.columns) == ["a", 7]
    assert all(same(again.columns[name], rows.columns[name]) for name in rows.columns)
    assert all(values.flags.writeable for values in again.columns.values())
    rest = ("n_rows", "params", "extra", "text", "untyped")
    assert [getattr(again, name) for name in rest] == [getattr(rows, name) for name in rest]


def test_tensors_are_put_together_again():
    array = np.arange(6, dtype="i4").reshape(3, 2)
    assert same(through(Rows(columns={}, n_rows=3, tensor=array)).tensor, array)
    several = through(Rows(columns={}, n_rows=3, tensor={"a": array, "b": array * 2})).tensor
    assert list(several) == ["a", "b"]
    assert same(several["b"], array * 2)
