"""Values travel to an isolated version and back as they were, whatever releases of libraries are on either side."""

from __future__ import annotations

import datetime as dt
import json
import struct
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from shadowserve import wire
from shadowserve.errors import AnswerError
from shadowserve.scorer.featurization import difference
from shadowserve.scorer.isolated import neutral

VALUES = {
    "floats": np.array([[1.5, np.nan], [-0.0, np.inf]]),
    "single floats": np.array([0.1, 0.2], dtype="float32"),
    "half floats": np.array([0.1], dtype="float16"),
    "whole numbers": np.array([2**63 - 1, -(2**63)]),
    "small whole numbers": np.array([1, 2], dtype="uint8"),
    "truth": np.array([True, False]),
    "texts": np.array(["a", "bc"]),
    "objects": np.array([["a", None], [1, 2.5]], dtype=object),
    "moments": np.array(["2026-01-01", "NaT"], dtype="datetime64[ns]"),
    "moments in seconds": np.array(["2026-01-01"], dtype="datetime64[s]"),
    "no rows": np.empty((0, 3)),
    "no dimension": np.array(4.0),
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "a scalar": np.float32(0.1),
    "nested lists": [[1, "x"], [None, float("nan")], []],
    "a tuple": (1, (2, "x")),
    "odd keys": {1: "a", None: "b", "c": {"d": np.int64(3)}},
    "bytes": b"\x00\xff",
    "a long number": 2**90,
    "a lone surrogate": "\ud800",
    "a decimal": Decimal("1.50"),
    "a date": dt.date(2026, 1, 2),
    "a time": dt.time(1, 2, 3),
    "a moment": dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
    "nanoseconds": pd.Timestamp(1, unit="ns", tz="UTC"),
    "a frame": pd.DataFrame({"a": [1, 2], "b": [0.5, None]}),
    "a series": pd.Series([1.0, 2.0], name="s"),
    "a masked array": np.ma.MaskedArray([1.0, 2.0], [True, False]),
}


def travelled(value):
    """Write a value, cut the stream at every place once, and read it."""
    parts: list[bytes] = []
    sent = neutral.frame({"value": neutral.written(value, parts)}, parts)
    held = neutral.Frames()
    found = [each for at in range(len(sent)) for each in held.feed(sent[at : at + 1])]
    ((head, given),) = found
    return neutral.read(head["value"], given)


@pytest.mark.parametrize("name", VALUES)
def test_a_value_comes_back_as_it_was(name):
    value = VALUES[name]
    assert difference(value, travelled(value)) == ""


@pytest.mark.parametrize(
    "value",
    [
        pd.Series(["a", None], dtype="string"),
        pd.Series(["a", "b"], dtype="category"),
        pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": ["x", None]}),
        pd.DataFrame({"a": pd.to_datetime(["2026-01-01", None], utc=True)}),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame(index=range(2)),
        pd.Index(["a", "b"]),
        pd.array([1, None], dtype="Int64"),
        scipy.sparse.csr_matrix([[0, 1.5], [2.5, 0]]),
        {"a": [pd.NA, pd.NaT, np.datetime64("NaT")]},
        [pd.DataFrame({"a": [1]})],
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_pandas_has_types_of_its_own_for_is_written_as_the_same_answer(value):
    assert wire.answer(travelled(value)) == wire.answer(value)


def test_arrays_that_come_may_be_written_to():
    value = travelled(np.zeros(3))
    value[0] = 1.0
    assert value.tolist() == [1.0, 0.0, 0.0]


class Strange:
    """A type of a model's own."""


@pytest.mark.parametrize("value", [Strange(), [Strange()], {"a": (Strange(),)}, {1, 2}, lambda: 1])
def test_a_type_without_a_form_is_refused_by_its_name(value):
    with pytest.raises(AnswerError, match=r"The prediction holds a \w+\."):
        neutral.written(value, [])


def test_what_contains_itself_is_refused():
    value: list = []
    value.append(value)
    with pytest.raises(AnswerError, match="nested too deeply"):
        neutral.written(value, [])


def test_nothing_that_is_read_runs_code():
    """A version writes what it likes: neither a dtype of objects nor an unknown tag makes any."""
    for told in (
        {"!": "array", "dtype": "O", "shape": [1], "part": 0},
        {"!": "pickle", "of": "gASVAAAAAA=="},
        {"!": "array", "dtype": "<f8", "shape": [9], "part": 0},
    ):
        with pytest.raises((ValueError, LookupError)):
            neutral.read(told, [b"x" * 8])


def test_a_frame_with_a_false_head_is_refused():
    told = json.dumps({"lengths": [1]}).encode()
    with pytest.raises(LookupError):
        list(neutral.Frames().feed(struct.pack("<QQ", len(told), 1) + told + b"x"))
