"""CSV bodies are typed as the same values in JSON are, or refused."""

from __future__ import annotations

import numpy as np
import pytest

from shadowserve.errors import RequestError
from shadowserve.schema.schema import Column, Schema
from shadowserve.wire import parse

MIXED = Schema(
    columns=(
        Column("i", "integer"),
        Column("d", "double"),
        Column("s", "string"),
        Column("f", "boolean"),
        Column("t", "datetime"),
        Column("x", "binary"),
        Column("o", "long", required=False),
    )
)
JSON_BODY = b"""{"dataframe_records": [
    {"i": 1, "d": 1.5, "s": "02139", "f": true, "t": "2024-01-02 00:00:00", "x": "aGk=", "o": 7},
    {"i": 2, "d": null, "s": "a,\\"b\\"", "f": false, "t": null, "x": "aGk=", "o": null}]}"""
CSV_BODY = b'''x,extra,s,i,d,f,t,o
aGk=,1,02139,1.0,1.5,True,2024-01-02 00:00:00,7
aGk=,2,"a,""b""",2,,false,,
'''


def test_the_same_rows_as_csv_and_as_json_are_the_same():
    from_json, from_csv = (
        parse(JSON_BODY, "application/json", MIXED),
        parse(CSV_BODY, "text/csv; charset=utf-8", MIXED),
    )
    for name, column in from_json.columns.items():
        np.testing.assert_array_equal(column, from_csv.columns[name], strict=True)
    assert from_csv.extra == ("extra",)


@pytest.mark.parametrize(
    ("column", "field"),
    [
        (Column("c", "long"), "1.5"),
        (Column("c", "long"), "9223372036854775808"),
        (Column("c", "integer"), "2147483648"),
        (Column("c", "integer"), "x"),
        (Column("c", "integer"), "1 2"),
        (Column("c", "double"), " "),
        (Column("c", "long"), "9007199254740993.0"),
        (Column("c", "long"), '""'),
        (Column("c", "double"), "NaN"),
        (Column("c", "double"), "inf"),
        (Column("c", "double"), "1e999"),
        (Column("c", "double"), "1_000"),
        (Column("c", "boolean"), "1"),
        (Column("c", "datetime"), "1709251200000"),
        (Column("c", "binary"), "?"),
        (Column("c", "string"), '""'),
    ],
)
def test_a_field_that_is_not_of_its_type_is_refused(column, field):
    with pytest.raises(RequestError) as caught:
        parse(f"c\n{field}\n".encode(), "text/csv", Schema(columns=(column,)))
    assert (caught.value.code, caught.value.column, caught.value.row) == ("wrong_type", "c", 0)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "empty"),
        (b"c\n", "empty"),
        (b"c\n1\n1,2\n", "ragged_rows"),
        (b"c,c\n1,2\n", "duplicate_key"),
        (b"d\n1\n", "missing_column"),
        (b"c\n\xff\n", "bad_csv"),
        (b'c\n"1\n', "bad_csv"),
        (b"c\n\x00\n", "wrong_type"),
    ],
)
def test_a_body_that_is_no_table_is_refused(body, code):
    with pytest.raises(RequestError) as caught:
        parse(body, "text/csv", Schema(columns=(Column("c", "long"),)))
    assert (caught.value.code, caught.value.status) == (code, 400)


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_long_text_is_read_whole(quote):
    text = "x" * 300_000
    body = f"c\n{quote}{text}{quote}\n".encode()
    rows = parse(body, "text/csv", Schema(columns=(Column("c", "string"),)))
    assert rows.columns["c"].tolist() == [text]


def test_blanks_around_a_number_are_no_part_of_it_but_of_a_text_they_are():
    schema = Schema(columns=(Column("i", "integer"), Column("d", "double"), Column("s", "string")))
    rows = parse(b"i,d,s\n 7, -1.5 , x \n", "text/csv", schema)
    assert {n: c.tolist() for n, c in rows.columns.items()} == {"i": [7], "d": [-1.5], "s": [" x "]}


def test_windows_line_ends_and_a_byte_order_mark_are_read():
    rows = parse(b"\xef\xbb\xbfc\r\n1\r\n2\r\n", "text/csv", Schema(columns=(Column("c", "long"),)))
    assert rows.columns["c"].tolist() == [1, 2]


def test_numbered_columns_and_tensors_may_come_without_a_header():
    numbered = Schema.from_signature({"inputs": [{"type": "long"}, {"type": "string"}]})
    rows = parse(b"1,x\n2,y\n", "text/csv; header=absent", numbered)
    assert rows.columns[1].tolist() == ["x", "y"]
    spec = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}]
    tensor = parse(b"p,q\n1,2.5\n", "text/csv", Schema.from_signature({"inputs": spec}))
    np.testing.assert_array_equal(tensor.tensor, [[1, 2.5]])


def test_named_columns_need_a_header():
    with pytest.raises(RequestError, match="header line"):
        parse(b"1\n", "text/csv; header=absent", Schema(columns=(Column("c", "long"),)))


@pytest.mark.parametrize(
    "schema",
    [
        Schema.open(),
        Schema.from_names(["zip"]),
        Schema.from_signature({"inputs": [{"name": "zip", "type": "any"}]}),
    ],
)
def test_csv_without_types_is_a_415(schema):
    with pytest.raises(RequestError) as caught:
        parse(b"zip\n02139\n", "text/csv", schema)
    assert caught.value.status == 415
