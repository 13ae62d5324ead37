"""An export is what was asked and answered, typed by the signature, and no value more than may leave."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rig.archived import archive, journal, of, served
from rig.deployment import OPTIONS
from rig.scoring import record
from shadowserve.journal.segment_file import segments
from shadowserve.state import deployment as deployments
from shadowserve.state.archive.exporting import Wanted, export
from shadowserve.state.archive.layout import Layout, answer_type
from shadowserve.state.archive.past import Past


def exported(places, target, *, shown="none", **wanted):
    past, name = Past(places), of(places).id
    layout = Layout(past.deployment(name), shown=shown)
    done = export(past, Wanted(name, **wanted), layout, target / "out.parquet")
    return done, pq.read_table(target / "out.parquet")


def test_requests_and_answers_are_rows_in_their_order(tmp_path):
    places, sent = served(tmp_path)
    done, table = exported(places, tmp_path, shown="all")
    assert (done.requests, done.rows, done.without_values) == (12, 12, 0)
    assert table["position"].to_pylist() == [one.position for one in sent]
    assert table["input/age"].to_pylist() == [record(n)["age"] for _ in range(3) for n in range(4)]
    assert table["input/title"].to_pylist()[:2] == [record(0)["title"], record(1)["title"]]
    assert table["prediction"].to_pylist() == ["1"] * 12
    assert table.schema.field("input/age").type == pa.float64()
    assert table.schema.field("arrived").type == pa.timestamp("ns", tz="UTC")


def test_the_same_is_told_of_the_journal_and_of_the_archive(tmp_path):
    places, _ = served(tmp_path)
    _, live = exported(places, tmp_path, shown="all")
    archive(places)
    for segment in segments(places.journal):
        segment.path.unlink()
    _, kept = exported(places, tmp_path, shown="all")
    assert kept.equals(live)


def test_no_value_leaves_unless_it_may(tmp_path):
    places, _ = served(tmp_path)
    _, table = exported(places, tmp_path)
    assert not [name for name in table.column_names if name.startswith("input/")]
    _, table = exported(places, tmp_path, shown=("age",))
    assert [name for name in table.column_names if name.startswith("input/")] == ["input/age"]


@pytest.mark.parametrize("packed", [True, False])
def test_what_is_dropped_or_hashed_stays_so_whatever_the_command_says(tmp_path, packed):
    places, _ = served(tmp_path, **{**OPTIONS, "drop_inputs": ("title",), "hash_inputs": ("age",)})
    if packed:
        archive(places)
        for segment in segments(places.journal):
            segment.path.unlink()
    _, table = exported(places, tmp_path, shown="all")
    assert [name for name in table.column_names if name.startswith("input/")] == ["input/age"]
    disclosure = of(places).options.disclosure(salt=of(places).salt)
    assert table["input/age"].to_pylist()[:2] == [
        disclosure.digest("0.0"),
        disclosure.digest("1.0"),
    ]


def test_a_column_that_was_hidden_for_a_while_is_empty_for_that_while(tmp_path):
    places, _ = served(tmp_path, segments=1, **{**OPTIONS, "hash_inputs": ("age",)})
    archive(places)
    for segment in segments(places.journal):
        segment.path.unlink()
    now = of(places)
    deployments.write(places, replace(now, options=replace(now.options, hash_inputs=())))
    journal(places, [record(7)])
    _, table = exported(places, tmp_path, shown="all")
    assert table["input/age"].to_pylist() == [None] * 4 + [7.0]


def test_a_request_of_many_rows_is_many_rows(tmp_path):
    places, _ = served(tmp_path, segments=0)
    body = orjson.dumps({"dataframe_records": [record(n) for n in range(3)]})
    journal(places, [record(0)], body=body, n_rows=3, answer=b'{"predictions":[1,2.5,null]}')
    _, table = exported(places, tmp_path, shown="all")
    assert table["row"].to_pylist() == [0, 1, 2]
    assert table["prediction"].to_pylist() == ["1", "2.5", None]
    assert table["input/age"].to_pylist() == [0.0, 1.0, 2.0]


def test_failures_and_what_was_sampled_out_have_no_values(tmp_path):
    places, _ = served(tmp_path, segments=0)
    journal(places, [record(0)], status=500, answer=b'{"type":"E"}')
    journal(places, [record(1)], body=None, answer=b"")
    done, table = exported(places, tmp_path, shown="all")
    assert table["status"].to_pylist() == [500, 200]
    assert table["prediction"].to_pylist() == [None, None]
    assert table["input/age"].to_pylist() == [0.0, None]
    assert done.without_values == 1


def test_only_what_is_wanted_is_written(tmp_path):
    places, _ = served(tmp_path, segments=0)
    for n in range(6):
        journal(places, [record(n)], arrived_wall_ns=n, request_id=f"id{n % 3}")
    archive(places)
    _, table = exported(places, tmp_path, since_ns=2, until_ns=5)
    assert table["arrived"].cast(pa.int64()).to_pylist() == [2, 3, 4]
    _, table = exported(places, tmp_path, request_id="id1")
    assert table["arrived"].cast(pa.int64()).to_pylist() == [1, 4]
    _, table = exported(places, tmp_path, request_id="nobody")
    assert table.num_rows == 0


def test_a_file_that_cannot_be_finished_leaves_the_one_before(tmp_path, monkeypatch):
    places, _ = served(tmp_path)
    (tmp_path / "out.parquet").write_bytes(b"before")

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_table", full)
    with pytest.raises(OSError, match="No space"):
        exported(places, tmp_path)
    assert (tmp_path / "out.parquet").read_bytes() == b"before"
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize(
    ("outputs", "kind"),
    [
        (None, pa.string()),
        ([{"type": "long"}], pa.int64()),
        ([{"type": "string"}], pa.string()),
        ([{"type": "double", "name": "score"}], pa.string()),
        ([{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}], pa.float64()),
        ([{"type": "tensor", "tensor-spec": {"dtype": "int32", "shape": [-1]}}], pa.int64()),
        ([{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 3]}}], pa.string()),
        ([{"type": "tensor", "tensor-spec": {"dtype": "object", "shape": [-1]}}], pa.string()),
    ],
)
def test_answers_have_the_signatures_type(outputs, kind):
    told = None if outputs is None else orjson.dumps(outputs).decode()
    assert answer_type({"outputs": told}) == kind
