"""Every difference to MLflow that docs/protocol.md lists, tried on both sides; and no other is listed."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
from flavors import DIFFERENCES
from pairs import ROWS, TYPED

from rig.scoring import body, double, opaque, record
from shadowserve.errors import AlignmentError, RequestError
from shadowserve.schema.schema import Schema
from shadowserve.wire import parse

pytestmark = [
    pytest.mark.live,
    pytest.mark.filterwarnings("ignore"),  # MLflow's and its dependencies' own
]

JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"
DOCS = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text("utf-8")


class Case(NamedTuple):
    """A row of the list, a request, and what each side makes of it.

    `theirs` and `ours` are a part of the answer, or None for a 400 or 415.
    """

    row: str
    model: str
    body: bytes
    theirs: str | None
    ours: str | None
    content_type: str = JSON


def typed(row: str, theirs: str | None, ours: str | None = None, **changed: Any) -> Case:
    sent = json.dumps({"dataframe_records": [TYPED | changed]}).encode()
    return Case(row, "types", sent, theirs, ours)


def sent(row: str, model: str, document: Any, theirs: str | None, ours: str | None = None) -> Case:
    return Case(row, model, json.dumps(document).encode(), theirs, ours)


def parquet() -> bytes:
    file = io.BytesIO()
    pd.DataFrame(ROWS).to_parquet(file)
    return file.getvalue()


FLOAT_TO_WHOLE, WIDTH = "`41.5` for integer or long", "2^31 for integer, 2^63 for long"
SHAPES = "more values in a row than a numbered signature has"
FLAT = "flattened lists in a table for a tensor of three dimensions or more"
NUMBERED = "columns of a numbered signature"
OPTIONAL = "optional integer, long, boolean"
SPELLINGS = "other spellings of a moment (`20240301`, `2024-03`, `March 1 2024`)"
INFINITE = "`Infinity`, `1e400` in the body, `inf` in CSV"
TWICE = "a name twice in a CSV header, more fields in a line than in the header"
TOP_LEVEL = "unknown top-level key, such as `parms`; `params` that are no object"
BINARY = "binary in `instances`, `inputs`, CSV and arrays"
WITHIN = "null within an array of text or booleans"
INSIDE = "moments and float within arrays and objects"
ORDER = "numbered columns in another order, as who sorts `10` before `2`"
NULL = "null for an optional string, in a column without a signature"
OBJECTS = "objects under `instances` and `inputs` without a signature"
BARE = "bare text, or several kinds in a bare list, without a signature"
TABLES = "tables for a tensor: CSV, objects under `inputs` and `instances`"
MEDIA = "capitals and quotes in the content type"
LANGUAGE = "language models' bare `messages`, `prompt`, `input`"
THREE = {"2": 3, "0": 1, "1": 2}
PART = {"columns": ["p", "q"], "data": [[1, 2]]}
CASES = [
    typed("number or string for boolean", "bool [True]", boolean=1),
    typed("number or string for boolean", "bool [True]", boolean="x"),
    typed("null for boolean", "bool [False]", boolean=None),
    typed(FLOAT_TO_WHOLE, "int32 [41]", integer=41.5),
    typed(FLOAT_TO_WHOLE, "int64 [41]", long=41.5),
    typed(WIDTH, "int32 [-2147483648]", integer=2**31),
    typed(WIDTH, "int64 [-9223372036854775808]", long=2**63),
    typed("boolean for a number", "int32 [1]", integer=True),
    typed("boolean for a number", "float64 [1.0]", double=True),
    typed("string of digits for a number", "int64 [1]", long="1"),
    typed("string of digits for a number", "float64 [1.0]", double="1"),
    sent("string of digits for a number", "tensor", {"inputs": [["1", 2, 3]]}, "[[1.0, 2.0, 3.0]]"),
    typed("`1e40` for float", "float32 [inf]", float=1e40),
    typed("2^53 + 1 for double", "float64 [9007199254740992.0]", double=2**53 + 1),
    typed("number, boolean, null for string", "object [2139]", string=2139),
    typed("number, boolean, null for string", "object [True]", string=True),
    typed("number, boolean, null for string", "object [None]", string=None),
    typed("epoch number for datetime", "1970-01-01 00:28:29.251200", datetime=1709251200000),
    sent(
        "string or fraction for an integer tensor",
        "tensors",
        {"inputs": {"u": [[1, 2]], "v": [3.5]}},
        "int64 [3]",
    ),
    sent(
        "string or fraction for an integer tensor",
        "tensors",
        {"inputs": {"u": [[1, 2]], "v": ["3"]}},
        "int64 [3]",
    ),
    typed(SPELLINGS, "Timestamp('2024-03-01 00:00:00')", datetime="20240301"),
    typed(SPELLINGS, "Timestamp('2024-03-01 00:00:00')", datetime="2024-03"),
    typed(SPELLINGS, "Timestamp('2024-03-01 00:00:00')", datetime="March 1 2024"),
    typed('`""` or `NaT` for datetime', "[NaT]", datetime=""),
    typed('`""` or `NaT` for datetime', "[NaT]", datetime="NaT"),
    Case(INFINITE, "lone", b'{"inputs":[Infinity]}', "[inf]", None),
    Case(INFINITE, "lone", b'{"inputs":[1e400]}', "[inf]", None),
    Case(INFINITE, "lone", b"a\n-inf\n", "[-inf]", None, CSV),
    Case("a key twice", "lone", b'{"inputs":[1],"inputs":[2]}', "[2.0]", None),
    Case(TWICE, "lone", b"a,a\n1,2\n", "[1.0]", None, CSV),
    Case(TWICE, "lone", b"a\n1,2\n", "[2.0]", None, CSV),
    sent(TOP_LEVEL, "series", {"dataframe_records": ROWS, "parms": {}}, "drama"),
    sent(TOP_LEVEL, "lone", {"inputs": [1], "params": 5}, "[1.0]"),
    sent("no rows, or a row without values", "lone", {"inputs": []}, "[]"),
    sent("no rows, or a row without values", "lone", {"inputs": [[]]}, "[nan]"),
    sent(
        "bare values as rows of `dataframe_split`",
        "lone",
        {"dataframe_split": {"columns": ["a"], "data": [1]}},
        "[1.0]",
    ),
    sent(
        "rows of differing keys without a signature",
        "unsigned",
        {"dataframe_records": [{"a": 1.5}, {"b": 2.5}]},
        "[1.5, nan]",
    ),
    sent(SHAPES, "numbered", {"inputs": [[1, 2, 3]]}, "float64 [2.0]"),
    sent(
        "named tensors of differing lengths",
        "tensors",
        {"inputs": {"u": [[1, 2], [3, 4]], "v": [3]}},
        "[[1.0, 2.0], [3.0, 4.0]]",
    ),
    Case(
        "`NA`, `nan`, `null` as text in CSV",
        "series",
        b"age,income,genre\n3,1.5,NA\n",
        '{"genre": NaN}',
        '{"genre": "NA"}',
        CSV,
    ),
    Case(
        "CSV without a signature",
        "unsigned",
        b"zip\n02139\n",
        "int64 [2139]",
        None,
        CSV,
    ),
    sent(
        "NaN, infinity, NaT in an answer",
        "missing",
        {"dataframe_records": ROWS[:1]},
        'NaN, "b": "NaT"',
        '"a": null, "b": null',
    ),
    sent(BINARY, "binary", {"instances": [{"x": "aGk="}]}, "[b'aGk=']", "[b'hi']"),
    Case(BINARY, "binary", b"x\naGk=\n", "['aGk=']", "[b'hi']", CSV),
    sent(BINARY, "within", {"dataframe_records": [{"x": ["aGk="]}]}, "b'aGk='", "b'hi'"),
    sent(WITHIN, "within", {"dataframe_records": [{"s": ["a", None]}]}, "'n'"),
    sent(WITHIN, "within", {"dataframe_records": [{"b": [None]}]}, "False"),
    sent(INSIDE, "within", {"dataframe_records": [{"t": ["2024-03-01"]}]}, None, "Timestamp("),
    sent(INSIDE, "within", {"dataframe_records": [{"f": [0.5]}]}, None, "[0.5]"),
    sent(ORDER, "tensor", {"dataframe_records": [THREE]}, "[[3.0, 1.0, 2.0]]", "[[1.0, 2.0, 3.0]]"),
    sent(
        ORDER,
        "numbered",
        {"dataframe_records": [{"1": 2, "0": 1}]},
        '{"1": "float64 [2.0]", "0"',
        '{"0": "float64 [1.0]", "1"',
    ),
    sent(NULL, "words", {"dataframe_records": [{"w": None}]}, "object [None]", "str [nan]"),
    Case("a bare `NaN` in the body", "optional", b'{"inputs":[{"a":1,"b":NaN}]}', None, "[nan]"),
    sent(NULL, "unsigned", {"dataframe_records": [{"a": None}]}, "object [None]", "[nan]"),
    sent(TABLES, "tensor", {"instances": [THREE]}, None, "[[1.0, 2.0, 3.0]]"),
    sent(TABLES, "tensors", {"inputs": [{"u": [1, 2], "v": 3}]}, None, "int64 [3]"),
    Case(TABLES, "tensor", b"p,q,r\n1,2,3\n", None, "[[1.0, 2.0, 3.0]]", CSV),
    Case(MEDIA, "lone", b'{"inputs":[1]}', None, "[1.0]", "Application/JSON"),
    Case(MEDIA, "lone", b'{"inputs":[1]}', None, "[1.0]", 'application/json; charset="utf-8"'),
    sent(BARE, "unsigned", {"inputs": "x"}, "is"),
    sent(BARE, "unsigned", {"inputs": [1, "a"]}, "['1', 'a']"),
    typed(
        "datetime with an offset",
        None,
        "Timestamp('2024-02-29 15:00:00')",
        datetime="2024-03-01T00:00:00+09:00",
    ),
    Case(
        "datetime columns in CSV",
        "types",
        pd.DataFrame([TYPED]).to_csv(index=False).encode(),
        None,
        "Timestamp('2024-03-01 12:30:15.123456')",
        CSV,
    ),
    sent(
        "columns named by number, sent as JSON keys",
        "zero",
        {"dataframe_records": [{"0": 1, "1": 2}]},
        None,
        "int64 [2]",
    ),
    sent("optional column absent", "optional", {"dataframe_records": [{"a": 1}]}, "", "[nan]"),
    sent(OPTIONAL, "optional", {"inputs": [{"a": 1, "b": 2}]}, "int64 [2]", "float64 [2.0]"),
    sent(OPTIONAL, "optional", {"inputs": [{"a": 1, "b": None}]}, None, "float64 [nan]"),
    sent(NUMBERED, "numbered", {"dataframe_split": PART}, '"p"', '"0"'),
    sent(
        "whole numbers without a signature",
        "unsigned",
        {"dataframe_records": [{"a": 1}]},
        "int64 [1]",
        "float64 [1.0]",
    ),
    sent(OBJECTS, "unsigned", {"instances": [{"a": 1.5}]}, '"is": "dict"', '"is": "frame"'),
    sent(OBJECTS, "unsigned", {"inputs": {"a": [1.5]}}, '"is": "dict"', '"is": "frame"'),
    sent(OBJECTS, "unsigned", {"inputs": [{"a": 1.5}]}, None, '"is": "frame"'),
    sent(
        "array columns under `instances` and `inputs`",
        "arrays",
        {"inputs": {"a": [1, 2]}},
        "[array([1, 2])]",
        "object [[1, 2]]",
    ),
    sent(
        "array columns under `instances` and `inputs`",
        "arrays",
        {"instances": [{"a": [1, 2]}]},
        None,
        "object [[1, 2]]",
    ),
    sent(FLAT, "cube", {"dataframe_records": [{"t": [1, 2, 3, 4]}]}, "[[[1.0, 2.0], [3.0, 4.0]]]"),
    Case("Parquet bodies", "series", parquet(), "drama", None, PARQUET),
]
ELSEWHERE = {
    "another number of entries in an answer than rows in the request, or none",
    "errors",
    LANGUAGE,
}
"""Tested below, since they are no matter of one request and its reading."""
UNREADABLE = {"CSV without a signature", "Parquet bodies"}
OF_FLAVORS = {case.row for case in DIFFERENCES}
"""Tested in `test_flavors`, beside what is alike."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.row)
def test_a_difference_is_as_it_is_listed(pairs, case):
    pair = pairs[case.model]
    status, _ = pair.theirs(case.body, case.content_type)
    assert status in ((400, 415) if case.theirs is None else (200,))
    assert (case.theirs or "") in pair.raw(case.body, case.content_type).decode()
    status, predicted = pair.ours(case.body, case.content_type)
    if case.ours is None:
        assert status == (415 if case.row in UNREADABLE else 400)
    else:
        assert status == 200
        assert case.ours in json.dumps(predicted)


def test_another_number_of_answers_than_rows_is_refused_here():
    def one(_frame, _params):
        return [1]

    rows = parse(body(record(1), record(2)), JSON, Schema.from_signature(None))
    short, empty = opaque(one), opaque(lambda _frame, _params: [])
    with pytest.raises(AlignmentError):
        short.split(short.score(rows).output, [2])
    with pytest.raises(AlignmentError):
        empty.split([], [1])
    assert short.split([1, 2, 3], [1]) == [[1, 2, 3]]  # one row may be answered with a list
    fine = opaque(double)
    assert fine.split(fine.score(rows).output, [1, 1])[1].tolist() == [4.0]


def test_an_error_quotes_the_row_there_and_no_value_here(pairs):
    secret = "tell-nobody-4711"
    wrong = json.dumps({"dataframe_records": [TYPED | {"double": secret}]}).encode()
    assert secret in pairs["types"].raw(wrong).decode()
    schema = Schema.from_signature({"inputs": [{"name": "double", "type": "double"}]})
    with pytest.raises(RequestError) as refused:
        parse(wrong, JSON, schema)
    assert secret not in str(refused.value)


def test_a_bare_request_of_a_language_model_is_no_form_here(pairs):
    bare = json.dumps({"prompt": "x"}).encode()
    assert "['x']" in pairs["prompt"].raw(bare).decode()
    assert pairs["prompt"].ours(bare, JSON)[0] == 400


def test_the_list_in_the_docs_and_the_cases_here_are_the_same():
    section = DOCS.split("## Differences to `mlflow models serve`")[1]
    rows = re.findall(r"^\| (?!sent \|)(.+?) \|", section, re.MULTILINE)
    listed = [row for row in rows if not set(row) <= set("-|") and row != "| MLflow"]
    assert len(listed) > 30
    assert {case.row for case in CASES} | ELSEWHERE | OF_FLAVORS == set(listed)
