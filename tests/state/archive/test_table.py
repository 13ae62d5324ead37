"""Rows of a table as requests: typed by the signature, each bad one named by number and column."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import orjson
import pandas as pd
import pytest

from shadowserve.state.archive.table import Table
from shadowserve.state.archive.table_file import TableError
from shadowserve.state.archive.table_names import Names

INPUTS = [
    {"name": "age", "type": "long", "required": True},
    {"name": "text", "type": "string", "required": False},
    {"name": "score", "type": "double", "required": True},
]
SIGNATURE = {
    "inputs": INPUTS,
    "outputs": [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}],
}


def opened(
    path: Path, *, names: Names | None = None, signature=SIGNATURE, skip_bad: bool = False
) -> Table:
    return Table.open(path, signature=signature, names=names or Names(), skip_bad=skip_bad)


def read(path: Path, **options) -> list:
    return [one for some in opened(path, **options).requests() for one in some]


def features(one) -> dict:
    (record,) = orjson.loads(one.body)["dataframe_records"]
    return record


def frame(n: int = 3, **columns) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "age": range(n),
            "text": [f"t{i}" for i in range(n)],
            "score": [i / 2 for i in range(n)],
            **columns,
        }
    )


def written(root: Path, table: pd.DataFrame, kind: str) -> Path:
    path = root / f"past.{kind}"
    if kind == "parquet":
        table.to_parquet(path)
    elif kind == "csv":
        table.to_csv(path, index=False)
    else:
        table.to_json(path, orient="records", lines=True)
    return path


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_a_row_is_a_request_whatever_the_format_and_the_order_of_columns(tmp_path, kind):
    table = frame(prediction=[0.5, 1.5, 2.5], request_id=["a", "b", "c"], more=1)[
        ["more", "prediction", "score", "text", "request_id", "age"]
    ]
    found = read(written(tmp_path, table, kind))
    assert [features(one) for one in found] == [
        {"age": i, "text": f"t{i}", "score": i / 2} for i in range(3)
    ]
    assert [one.request_id for one in found] == ["a", "b", "c"]
    assert [orjson.loads(one.answer) for one in found] == [
        {"predictions": [i + 0.5]} for i in range(3)
    ]
    assert [one.position for one in found] == [1, 2, 3]


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_a_wrong_type_far_down_is_named_by_row_and_column(tmp_path, kind):
    path = written(tmp_path, frame(2_000).astype({"age": object}), "jsonl")
    lines = path.read_text().splitlines()
    lines[999] = '{"age":"many","text":"t","score":1.0}'
    path.write_text("\n".join(lines))
    if kind != "jsonl":
        table = pd.DataFrame([orjson.loads(line) for line in lines])
        path = written(tmp_path, table.astype({"age": str}) if kind == "parquet" else table, kind)
    row = 1 if kind == "parquet" else 1_000  # a column of Parquet has one type
    with pytest.raises(
        TableError, match=rf"row {row:,}: Column 'age': a whole number.* a string came"
    ) as told:
        read(path)
    assert (told.value.row, told.value.column) == (row, "age")


def test_bad_rows_are_left_out_and_counted_where_asked(tmp_path):
    path = tmp_path / "past.jsonl"
    path.write_text(
        '{"age":1,"score":1.0}\nno json\n{"age":null,"score":1}\n\n{"score":1.0}\n{"age":2,"score":null}\n'
    )
    table = opened(path, skip_bad=True)
    found = [one for some in table.requests() for one in some]
    assert [features(one)["age"] for one in found] == [1, 2]
    assert [(bad.row, bad.column) for bad in table.bad] == [(2, None), (3, "age"), (4, "age")]


def test_columns_that_lack_are_told_before_anything_is_read(tmp_path):
    path = written(tmp_path, frame().rename(columns={"age": "Age"}), "csv")
    with pytest.raises(
        TableError, match=r"past.csv: it lacks 1 of 3 features: age. Not known: Age."
    ):
        opened(path)


def test_repeated_ids_and_missing_ones_stay_apart(tmp_path):
    table = frame(4, request_id=["a", "a", None, "a"], label=[0, 1, 2, 3])
    opened_table = opened(written(tmp_path, table, "parquet"))
    (found,) = opened_table.requests()
    assert [one.request_id for one in found] == ["a", "a#2", "row-3", "a#4"]
    assert opened_table.labels == [("a", 0), ("a#2", 1), ("row-3", 2), ("a#4", 3)]


def test_labels_need_no_ids(tmp_path):
    opened_table = opened(written(tmp_path, frame(label=[1, None, 0]), "csv"))
    (_,) = opened_table.requests()
    assert opened_table.labels == [("row-1", 1.0), ("row-3", 0.0)]


def test_a_byte_order_mark_and_quoted_line_ends_belong_to_no_value(tmp_path):
    path = tmp_path / "past.csv"
    path.write_bytes(b'\xef\xbb\xbfage,text,score\r\n1,"two\nlines, and a ""comma""",0.5\r\n')
    (one,) = read(path)
    assert features(one) == {"age": 1, "text": 'two\nlines, and a "comma"', "score": 0.5}
    path = tmp_path / "past.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"age":1,"score":NaN}\n')
    assert features(read(path)[0]) == {"age": 1, "score": None}


def test_what_is_missing_is_null_in_every_format(tmp_path):
    table = frame(score=[float("nan"), None, 1.0], text=[None, "x", None])
    for kind in ("parquet", "csv", "jsonl"):
        found = [features(one) for one in read(written(tmp_path, table, kind))]
        assert [one["score"] for one in found] == [None, None, 1.0]
        assert [one.get("text") for one in found] == [None, "x", None]


def test_dates_are_read_as_the_protocol_reads_them(tmp_path):
    signature = {"inputs": [{"name": "on", "type": "datetime", "required": True}]}
    table = pd.DataFrame(
        {"on": [date(2026, 11, 30), date(2026, 12, 1)], "time": datetime(2026, 12, 1, tzinfo=UTC)}
    )
    for kind in ("parquet", "csv"):
        found = read(written(tmp_path, table, kind), signature=signature)
        assert [features(one)["on"] for one in found] == ["2026-11-30", "2026-12-01"]
        assert {one.arrived_wall_ns for one in found} == {1_796_083_200 * 10**9}


def test_a_time_that_is_none_is_a_bad_row(tmp_path):
    path = written(tmp_path, frame(time=["2026-12-01", "noon", "2026-12-02"]), "csv")
    with pytest.raises(TableError, match=r"row 2, column 'time': an ISO-8601"):
        read(path)


def test_an_answer_that_is_not_there_is_a_bad_row(tmp_path):
    path = written(tmp_path, frame(prediction=[1.0, None, 2.0]), "parquet")
    with pytest.raises(TableError, match=r"row 2, column 'prediction': no answer is recorded"):
        read(path)


def test_what_a_file_gains_while_it_is_read_is_not_of_it(tmp_path):
    for kind in ("csv", "jsonl"):
        path = written(tmp_path, frame(), kind)
        table = opened(path)
        with path.open("a") as file:
            file.write(path.read_text().splitlines()[-1])
        assert len([one for some in table.requests() for one in some]) == 3
        assert opened(path).identity != table.identity


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("past.csv", b"", "is empty"),
        ("past.parquet", b"PAR1", "cannot be read"),
        ("past.xlsx", b"x", "ending that is not known"),
        ("past.csv", b"age,age,score\n1,2,3\n", "more than one column age"),
        ("past.csv", b"age,text,score\n1,\xff,3\n", "not in UTF-8"),
        ("past.csv", b"age,text,score\n1,x\n", "row 1: it has 2 fields, the header 3"),
    ],
)
def test_a_file_that_is_no_table_is_one_clear_line(tmp_path, name, content, told):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(TableError, match=told) as error:
        read(path)
    assert "\n" not in str(error.value)


def test_a_column_of_the_signature_is_a_feature_and_nothing_else(tmp_path):
    signature = {
        **SIGNATURE,
        "inputs": [*INPUTS, {"name": "prediction", "type": "double", "required": True}],
    }
    table = opened(written(tmp_path, frame(prediction=1.0), "csv"), signature=signature)
    assert not table.answered
    with pytest.raises(TableError, match="no column 'said'; its columns are age"):
        opened(written(tmp_path, frame(), "csv"), names=Names(answer="said"))
