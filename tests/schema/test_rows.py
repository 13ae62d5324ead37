"""Typed rows: a row's values are the same alone and among others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowserve.schema.rows import Rows, concat
from shadowserve.schema.schema import Schema
from shadowserve.scorer.featurization.inputs import Columns

SCHEMA = Schema.from_signature(
    {
        "inputs": [
            {"name": "age", "type": "long", "required": True},
            {"name": "title", "type": "string", "required": False},
            {"name": "kept", "type": "boolean", "required": False},
            {"name": "score", "type": "double", "required": False},
            {"name": "at", "type": "datetime", "required": False},
            {"name": "bytes", "type": "binary", "required": False},
            {"name": "free", "type": "any", "required": False},
            {"name": "tags", "type": "array", "items": {"type": "string"}, "required": False},
        ]
    }
)
RECORDS = st.fixed_dictionaries(
    {
        "age": st.integers(-(2**53), 2**53),
        "title": st.none() | st.text(max_size=5),
        "kept": st.none() | st.booleans(),
        "score": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "at": st.none() | st.just("2024-03-01"),
        "bytes": st.none() | st.just("aGk="),
        "free": st.none() | st.text(max_size=5) | st.booleans() | st.floats(allow_nan=False),
        "tags": st.none() | st.lists(st.text(max_size=2), max_size=2),
    }
)


def column_by_column(frame: pd.DataFrame, row: int) -> list[object]:
    return [(str(frame[name].dtype), repr(frame[name].iloc[row])) for name in frame]


@given(st.lists(RECORDS, min_size=1, max_size=6))
def test_a_row_is_the_same_alone_and_in_a_batch(records):
    alone = [SCHEMA.type_records([record]) for record in records]
    together = concat(alone)
    for frame_of in (Rows.frame, lambda rows: Columns.of_rows(rows).whole()):
        batch = frame_of(together)
        for place, rows in enumerate(alone):
            assert column_by_column(frame_of(rows), 0) == column_by_column(batch, place)


@pytest.mark.parametrize(
    "type_rows",
    [
        lambda: SCHEMA.type_records([{"age": 1, "title": None, "kept": None, "score": None}]),
        lambda: SCHEMA.type_records([{"age": 1}]),
        lambda: SCHEMA.type_columns({"age": [1]}, n_rows=1),
    ],
)
def test_a_missing_text_has_the_type_of_text_whatever_the_form(type_rows):
    text = pd.Series(["text"]).dtype
    assert type_rows().frame()["title"].dtype == text
    assert Columns.of_rows(type_rows()).series("title").dtype == text


def test_a_missing_text_of_numbered_columns_has_the_type_of_text():
    numbered = Schema.from_signature({"inputs": [{"type": "string", "required": False}]})
    assert numbered.type_lists([[None]]).frame()[0].dtype == pd.Series(["text"]).dtype


def test_who_writes_into_his_frame_changes_nobody_elses():
    rows = Rows(columns={"a": np.array([1.0, 2.0])}, n_rows=2)
    frame = rows.frame()
    frame.loc[0, "a"] = 99.0
    assert rows.columns["a"].tolist() == [1.0, 2.0]


def test_a_tensor_is_copied_for_the_model():
    rows = Rows(columns={}, n_rows=2, tensor=np.zeros((2, 3)))
    rows.model_input()[:] = 1
    assert not rows.tensor.any()
    named = Rows(columns={}, n_rows=1, tensor={"x": np.zeros((1, 2))})
    named.model_input()["x"][:] = 1
    assert not named.tensor["x"].any()


def test_requests_are_laid_end_to_end_in_order():
    parts = [Rows(columns={"a": np.arange(n)}, n_rows=n, params={"k": 1}) for n in (1, 3, 2)]
    whole = concat(parts)
    assert whole.n_rows == 6
    assert whole.params == {"k": 1}
    assert whole.columns["a"].tolist() == [0, 0, 1, 2, 0, 1]


def test_a_lone_request_is_not_copied():
    rows = Rows(columns={"a": np.arange(3)}, n_rows=3)
    assert concat([rows]) is rows


@pytest.mark.parametrize("named", [False, True])
def test_tensors_are_laid_end_to_end(named):
    arrays = [np.full((n, 2), n) for n in (1, 2)]
    parts = [Rows(columns={}, n_rows=len(a), tensor={"x": a} if named else a) for a in arrays]
    whole = concat(parts).tensor
    np.testing.assert_array_equal(whole["x"] if named else whole, [[1, 1], [2, 2], [2, 2]])


def test_some_rows_and_rows_of_other_values_have_the_dtypes_of_all():
    records = [
        {"age": 1, "title": "x", "kept": True, "score": 0.5, "at": "2024-03-01"},
        {"age": 0, "title": None, "kept": None, "score": None},
    ]
    rows = SCHEMA.type_records(records)
    for made in (rows.part(0, 1), rows.varied()):
        assert {n: c.dtype for n, c in made.columns.items()} == {
            n: c.dtype for n, c in rows.columns.items()
        }
    assert (rows.part(1, 2).n_rows, rows.part(1, 2).columns["age"].tolist()) == (1, [0])
    assert rows.varied().columns["age"].tolist() == [0, 1]
    assert rows.varied().columns["score"][0] == 2.0
    assert rows.columns["score"][0] == 0.5
    tensor = Rows(columns={}, n_rows=2, tensor={"u": np.zeros((2, 3), dtype=np.uint8)})
    assert tensor.part(0, 1).tensor["u"].shape == (1, 3)
    assert tensor.varied().tensor["u"].tolist() == [[1, 1, 1]] * 2
