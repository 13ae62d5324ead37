"""Every prediction leaves as valid JSON, as MLflow writes it, or is refused by its type's name."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import json
import math
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from shadowserve.errors import AnswerError
from shadowserve.wire import answer, nonfinite, read_answer

NAN, INF = math.nan, math.inf
STAMP = pd.Timestamp("2024-03-01 12:00")
Point = collections.namedtuple("Point", "x y")
LOOP: list = []
LOOP.append(LOOP)


def refuse_constant(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def strictly(body: bytes) -> object:
    return json.loads(body, parse_constant=refuse_constant)["predictions"]


@pytest.mark.parametrize(
    ("prediction", "wanted"),
    [
        (np.array([1.0, NAN, INF, -INF]), [1.0, None, None, None]),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([0.1], dtype=np.float32), [0.10000000149011612]),
        (np.array([True, False]), [True, False]),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array(["a", None, NAN, pd.NA, pd.NaT], dtype=object), ["a", None, None, None, None]),
        (np.array([b"hi"]), ["aGk=\n"]),
        (np.array(["2024-03-01", "NaT"], dtype="datetime64[s]"), ["2024-03-01T00:00:00", None]),
        (np.array(["2024-03-01", "NaT"], dtype="datetime64[ns]"), [1709251200000000000, None]),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (3, 3),
        (2**70, 2**70),
        ([2**70, NAN, np.float64(INF), Decimal("NaN"), pd.NaT], [2**70, None, None, None, None]),
        ("text", "text"),
        ("\ud800", "\ud800"),
        (None, None),
        (NAN, None),
        ([1, NAN, None, "x", [INF]], [1, None, None, "x", [None]]),
        ((1, 2), [1, 2]),
        ([Point(1, 2)], [[1, 2]]),
        ({"a": np.array([1, 2]), "b": np.float64(NAN)}, {"a": [1, 2], "b": None}),
        (
            {1: "x", None: "y", 1.5: "z", False: "w"},
            {"1": "x", "null": "y", "1.5": "z", "false": "w"},
        ),
        ({np.int64(7): 1}, {"7": 1}),
        ([np.array([1.0]), np.array([NAN])], [[1.0], [None]]),
        (pd.Series([1.5, NAN], name="p"), [{"p": 1.5}, {"p": None}]),
        (pd.Series(["a", None]), [{"0": "a"}, {"0": None}]),
        (pd.Series([pd.NaT]), [{"0": None}]),
        (pd.Series([1, None], dtype="Int64"), [{"0": 1}, {"0": None}]),
        (pd.Series([True, None], dtype="boolean"), [{"0": True}, {"0": None}]),
        (pd.Series(["a", "b"], dtype="category"), [{"0": "a"}, {"0": "b"}]),
        (
            pd.DataFrame({"n": [1, 2], "t": [STAMP, pd.NaT], "s": ["x", None]}),
            [{"n": 1, "t": "2024-03-01T12:00:00", "s": "x"}, {"n": 2, "t": None, "s": None}],
        ),
        (
            [STAMP, dt.date(2024, 3, 1), dt.time(12, 30)],
            ["2024-03-01T12:00:00", "2024-03-01", "12:30:00"],
        ),
        ([pd.Timestamp("2024-03-01", tz="UTC")], ["2024-03-01T00:00:00+00:00"]),
        ([Decimal("1.10"), Decimal("NaN"), Decimal("1E+2")], [1.1, None, 100.0]),
        ([b"hi", bytearray(b"hi")], ["aGk=\n", "aGk=\n"]),
        (scipy.sparse.csr_matrix([[0, 1.5], [2, 0]]), [[0.0, 1.5], [2.0, 0.0]]),
        ([pd.DataFrame({"a": [1]})], [[{"a": 1}]]),
        (pd.Index([1, 2]), [1, 2]),
        (pd.array([1, None], dtype="Int64"), [1, None]),
        (np.array([], dtype=float), []),
        (pd.DataFrame({"a": []}), []),
    ],
)
def test_predictions_become_these_json_values(prediction, wanted):
    assert strictly(answer(prediction)) == wanted


@dataclasses.dataclass
class Thing:
    x: int = 1


@pytest.mark.parametrize(
    ("prediction", "name"),
    [
        (object(), "builtins.object"),
        ([1, {2}], "builtins.set"),
        ({"a": [Thing()]}, "Thing"),
        (1 + 2j, "complex"),
        (np.array([1j]), "complex"),
        (np.complex64(1), "complex64"),
        (np.timedelta64(1, "s"), "timedelta64"),
        (LOOP, "contains itself"),
        ({(1, 2): 3}, "tuple"),
    ],
)
def test_what_has_no_json_form_is_refused_by_its_types_name(prediction, name):
    with pytest.raises(AnswerError, match=name):
        answer(prediction)


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary(max_size=4)
    | st.dates()
    | st.decimals()
    | st.sampled_from([pd.NA, pd.NaT, np.float32(NAN), np.int8(3), np.datetime64("NaT")])
)


@given(
    st.recursive(
        LEAVES,
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        ),
        max_leaves=12,
    )
)
def test_an_answer_is_always_strict_json(prediction):
    strictly(answer(prediction))


@pytest.mark.parametrize(
    ("prediction", "count"),
    [
        (np.array([1.0, NAN, INF]), 2),
        (np.array([1, 2]), 0),
        (np.array(["NaT"], dtype="datetime64[ns]"), 1),
        (np.array(["a", NAN, None], dtype=object), 1),
        (pd.DataFrame({"a": [1.0, NAN], "b": ["x", "y"]}), 1),
        (pd.Series([1, None], dtype="Int64"), 1),
        ({"a": [NAN], "b": np.array([INF])}, 2),
        ([np.array([NAN, NAN]), [1.0, -INF]], 3),
        (scipy.sparse.csr_matrix([[0, NAN]]), 1),
        (Decimal("NaN"), 1),
        ("NaN", 0),
        (None, 0),
    ],
)
def test_values_that_leave_as_null_are_counted(prediction, count):
    assert nonfinite(prediction) == count


def test_an_answer_is_read_again():
    assert read_answer(answer([1, NAN, "x"])) == [1, None, "x"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"3", b"{"])
def test_bytes_that_are_no_answer_are_refused(body):
    with pytest.raises(AnswerError):
        read_answer(body)
