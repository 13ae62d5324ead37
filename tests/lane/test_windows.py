"""Windows, their metrics, and the Parquet part of each."""

from __future__ import annotations

import math
import stat
import time

import orjson
import pandas as pd
import pyarrow.parquet as pq
import pytest

from shadowserve.lane.tables import SCHEMA, joined, pack, table
from shadowserve.lane.windows import encode, is_full, metrics, width_factor, write_part
from shadowserve.records import Comparison, Fault, Outcome


def comparison(place=1, **changes):
    fields = {
        "request_id": f"r{place}",
        "arrived_wall_ns": 123,
        "n_rows": 1,
        "window": 0,
        "outcome": Outcome.BOTH_OK,
        "disagreement": 0.5,
        "values": {"relative": 0.25},
        "champion": [1.5],
        "lane": [[1, "a", None]],
        "champion_ms": 2.0,
        "lane_ms": 4.0,
        "champion_steps": {"scale": 1.0},
        "lane_steps": {"scale": 3.0},
        "sizes": {"text": 7},
    }
    return Comparison(position=place, **{**fields, **changes})


def rows(*comparisons):
    return [orjson.loads(encode(one)) for one in comparisons]


def test_a_window_is_full_by_requests_or_by_age():
    now = time.time_ns()
    assert is_full(0, n=1000, opened_ns=now - 11 * 10**9)
    assert not is_full(0, n=999, opened_ns=now - 11 * 10**9)
    assert not is_full(0, n=10**6, opened_ns=now - 8 * 10**9)
    assert is_full(0, n=1, opened_ns=now - 61 * 10**9)
    assert not is_full(0, n=0, opened_ns=0)


def test_windows_double_so_that_their_number_stays_bounded():
    opened_ns = time.time_ns() - 11 * 10**9
    assert not is_full(1440, n=1999, opened_ns=opened_ns)
    assert is_full(1440, n=2000, opened_ns=opened_ns)
    assert [width_factor(n) for n in (0, 1439, 1440, 4320)] == [1, 1, 2, 8]


def test_metrics_count_every_outcome():
    ends = [Outcome.BOTH_OK, Outcome.CRASHED, Outcome.CRASHED]
    found = metrics(rows(*(comparison(n, outcome=end) for n, end in enumerate(ends))), role="challenger")  # fmt: skip
    assert (found["ledger/requests"], found["ledger/both_ok"], found["ledger/crashed"]) == (3, 1, 2)
    assert found["ledger/timed_out"] == 0


def test_metrics_are_grouped_by_role_step_and_measure():
    found = metrics(rows(comparison(1), comparison(2, disagreement=0.0)), role="challenger")
    assert found["divergence/disagreement"] == 0.25
    assert found["divergence/relative"] == 0.25
    assert found["latency_ms/champion/p99"] == 2.0
    assert found["latency_ms/challenger/p50"] == 4.0
    assert found["feature_ms/challenger/scale/max"] == 3.0


def test_metrics_are_finite(tmp_path):
    odd = comparison(disagreement=float("nan"), values={"relative": float("inf")}, lane_ms=None)
    assert all(math.isfinite(value) for value in metrics(rows(odd), role="control").values())
    assert metrics([], role="control")["ledger/requests"] == 0


def test_warm_up_and_batches_are_in_no_latency():
    given = rows(comparison(1), comparison(2, warmup=True, lane_ms=99.0), comparison(3, alone=False, lane_ms=99.0))  # fmt: skip
    assert metrics(given, role="challenger")["latency_ms/challenger/max"] == 4.0


def test_a_part_is_named_by_its_positions_and_read_by_pandas(tmp_path):
    failed = comparison(
        9, outcome=Outcome.CHALLENGER_ERROR, disagreement=None, lane=None, lane_ms=None,
        fault=Fault("ValueError", "scale", "x.py:1 f", "abc"),
    )  # fmt: skip
    name = write_part(tmp_path, [encode(comparison(4)), encode(failed)])
    assert name == f"{4:020d}-{9:020d}.parquet"
    assert pq.read_schema(tmp_path / name).equals(SCHEMA)
    frame = pd.read_parquet(tmp_path / name)
    assert frame["position"].tolist() == [4, 9]
    assert frame["outcome"].tolist() == ["both_ok", "challenger_error"]
    assert frame["lane_prediction"].tolist() == ['[[1,"a",null]]', "null"]
    assert frame["error"].tolist()[1] == "ValueError"
    assert frame["disagreement"].isna().tolist() == [False, True]
    assert dict(frame["lane_steps_ms"][0]) == {"scale": 3.0}
    assert dict(frame["sizes"][0]) == {"text": 7}
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_writing_a_part_twice_does_no_harm(tmp_path):
    records = [encode(comparison(n)) for n in (1, 2)]
    first = (tmp_path / write_part(tmp_path, records)).read_bytes()
    assert (tmp_path / write_part(tmp_path, records)).read_bytes() == first
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_missing_in_a_part(tmp_path, value):
    name = write_part(tmp_path, [encode(comparison(values={"relative": value, "absolute": 1.0}))])
    assert dict(pd.read_parquet(tmp_path / name)["divergence"][0]) == {"absolute": 1.0}


def test_what_is_timed_more_often_counts_for_less():
    """Each large input is timed, of the others one in fifty: a window's p50 is the traffic's."""
    large = [comparison(n, lane_ms=500.0, inclusion=1.0) for n in range(20)]
    others = [comparison(100 + n, lane_ms=4.0, inclusion=0.02) for n in range(20)]
    found = metrics(rows(*large, *others), role="challenger")
    assert found["latency_ms/challenger/p50"] == found["latency_ms/challenger/p90"] == 4.0
    assert found["latency_ms/challenger/p99"] == 500.0
    assert found["latency_ms/challenger/max"] == 500.0


def test_a_window_kept_by_columns_is_the_window_that_was_kept_one_by_one(tmp_path):
    odd = [
        comparison(1, disagreement=math.nan, values={"relative": math.inf, "absolute": 1.0}),
        comparison(2, champion=[None, {"b": [1, "ü"], "a": 2**53 + 1}], lane=None, lane_ms=None),
        comparison(3, outcome=Outcome.CRASHED, disagreement=None, alone=False, inclusion=0.1),
        comparison(
            4, outcome=Outcome.BOTH_ERROR, disagreement=None, sizes={}, lane_steps={}, values={},
            fault=Fault("ValueError", None, "x.py:1 f", "abc"), champion=None, lane=None,
        ),
        comparison(5, champion=[True, -0.0, 1e300], lane=[], lane_scores={"1": 0.25, '"x"': math.nan}),
        comparison(6, warmup=True, first=False, structure=True, exact=True, nonfinite=3, window=7),
        comparison(7, lane_steps={"scale": 1.0, "scale/in": math.nan}, inclusion=0.5, lag_ms=9.5),
    ]  # fmt: skip
    by_columns = joined([], [pack(table(odd[3:])), pack(table(odd[:3]))])
    one_by_one = joined([encode(one) for one in odd], [])
    assert by_columns.equals(one_by_one)
    assert joined([encode(odd[6]), encode(odd[0])], [pack(table(odd[1:6]))]).equals(one_by_one)
    assert metrics(by_columns, role="control") == metrics(one_by_one, role="control")
    first, second = tmp_path / "a", tmp_path / "b"
    for folder, rows_ in ((first, by_columns), (second, one_by_one)):
        folder.mkdir()
        write_part(folder, rows_)
    (a,), (b,) = first.iterdir(), second.iterdir()
    assert (a.name, a.read_bytes()) == (b.name, b.read_bytes())
