"""Comparisons are asked where they lie, and a question gets what the whole table would say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rig.evidence import CHALLENGER, comparison, deployment, state_directory
from shadowserve import runs
from shadowserve.errors import QueryError
from shadowserve.lane import tables, windows
from shadowserve.runs.scan import Comparisons

N_PARTS, N_EACH = 3, 10


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    places = state_directory(tmp_path_factory.mktemp("state"), deployment("sqlite:///unused.db"))
    own = places.lane(CHALLENGER.role, CHALLENGER.version).parts
    for number in range(N_PARTS):
        rows = [comparison(number * N_EACH + i + 1, number) for i in range(N_EACH)]
        windows.write_part(own, [windows.encode(row) for row in rows])
    return own


@pytest.fixture
def found(parts: Path):
    with Comparisons(sorted(parts.glob("*.parquet"))) as scanned:
        yield scanned


def test_sql_groups_over_all_parts(found: Comparisons) -> None:
    told = found.sql(
        'SELECT "window", count(*) AS n, sum(disagreement) AS apart FROM comparisons '
        'GROUP BY "window" ORDER BY "window"'
    )
    assert told["window"].tolist() == [0, 1, 2]
    assert told["n"].tolist() == [N_EACH] * N_PARTS
    assert told["apart"].tolist() == [0.5] * N_PARTS
    assert len(found) == N_PARTS * N_EACH


def test_a_step_is_asked_by_its_name(found: Comparisons) -> None:
    told = found.sql("SELECT max(lane_steps_ms['description']) AS most FROM comparisons")
    assert told["most"].tolist() == [39.0]


def test_parameters_stand_for_values(found: Comparisons) -> None:
    query = "SELECT position FROM comparisons WHERE request_id = $id"
    assert found.sql(query, {"id": "request-7"})["position"].tolist() == [7]
    assert found.sql(query.replace("$id", "?"), ["request-8"])["position"].tolist() == [8]


def test_columns_and_condition_give_what_the_whole_frame_holds(found: Comparisons) -> None:
    whole = found.frame()
    some = found.frame(["lane_ms", "position", "sizes"], where="lane_ms > 10")
    expected = whole[whole["lane_ms"] > 10][["lane_ms", "position", "sizes"]]
    pd.testing.assert_frame_equal(some, expected.reset_index(drop=True))
    assert len(some) == N_PARTS


def test_a_condition_of_two_parts_stays_one(found: Comparisons) -> None:
    told = found.frame(["position"], where="position = 1 OR position = 30")
    assert told["position"].tolist() == [1, 30]


def test_positions_are_in_order_whatever_the_parts_are_called(parts: Path) -> None:
    with Comparisons(sorted(parts.glob("*.parquet"), reverse=True)) as scanned:
        assert scanned.frame(["position"])["position"].tolist() == list(range(1, 31))


def test_batches_hold_all_rows_once_and_are_bounded(parts: Path, tmp_path: Path) -> None:
    table = pq.read_table(min(parts.glob("*.parquet")))
    wide = pa.concat_tables([table] * 1_000)
    wide = wide.set_column(0, "position", pa.array(np.arange(len(wide))))
    pq.write_table(wide.cast(tables.SCHEMA), tmp_path / "wide.parquet")
    with Comparisons([tmp_path / "wide.parquet"]) as scanned:
        batches = list(scanned.batches(["position", "lane_steps_ms"], n_rows=2_048))
    assert [n for one in batches for n in one["position"]] == list(range(10_000))
    assert max(map(len, batches)) <= 2_048
    assert batches[0]["lane_steps_ms"][0] == {"description": 1.0, "estimator": 1.0}


def test_an_unknown_column_is_answered_with_those_there_are(found: Comparisons) -> None:
    with pytest.raises(QueryError, match=r"no column lane_milliseconds.*lane_ms"):
        found.frame(["lane_milliseconds"])


@pytest.mark.parametrize("query", ["SELECT nothing FROM comparisons", "SELEC 1"])
def test_sql_that_is_refused_says_why(found: Comparisons, query: str) -> None:
    with pytest.raises(QueryError, match=r"nothing|syntax"):
        found.sql(query)
    with pytest.raises(QueryError):
        next(found.batches(["position"], where="nothing > 1"))


def test_no_part_gives_the_columns_without_rows() -> None:
    with Comparisons([]) as scanned:
        assert len(scanned) == 0
        assert scanned.frame().columns.tolist() == tables.SCHEMA.names


def test_a_part_of_an_older_release_has_empty_maps_and_nulls(parts: Path, tmp_path: Path) -> None:
    old = pq.read_table(min(parts.glob("*.parquet"))).drop_columns(["lane_scores", "lag_ms"])
    pq.write_table(old, tmp_path / "old.parquet")
    with Comparisons([tmp_path / "old.parquet", max(parts.glob("*.parquet"))]) as scanned:
        told = scanned.frame(["lane_scores", "lag_ms"])
    assert told["lane_scores"].tolist() == [{}] * 20
    assert told["lag_ms"].isna().tolist() == [True] * 10 + [False] * 10


def test_the_whole_frame_is_what_pyarrow_reads(found: Comparisons, parts: Path) -> None:
    table = pq.read_table(parts).sort_by("position")
    whole = found.frame()
    assert whole.columns.tolist() == table.column_names
    for name in table.column_names:
        values = table.column(name).to_pylist()
        if pa.types.is_map(table.schema.field(name).type):
            assert whole[name].tolist() == [dict(pairs) for pairs in values], name
        else:
            expected = table.column(name).to_pandas()
            pd.testing.assert_series_equal(whole[name], expected, check_names=False)


def test_the_public_functions_take_columns_and_a_condition(parts: Path) -> None:
    root = parts.parents[2]
    told = runs.local_comparisons(
        root, "challenger v4", columns=["position"], where="disagreement > 0"
    )
    assert told["position"].tolist() == [3, 13, 23]
    with runs.scan_local_comparisons(root, "challenger v4") as scanned:
        assert len(scanned) == 30


def test_the_end_leaves_no_files_behind(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Comparisons(sorted(parts.glob("*.parquet"))) as scanned:
        scanned.frame()
        assert any(tmp_path.iterdir())
    scanned.close()
    assert not any(tmp_path.iterdir())
