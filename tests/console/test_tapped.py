"""A tapped record is read strictly, refused without a value, and journaled as lanes can read it."""

from __future__ import annotations

import base64
import json
import time

import pytest

from rig.scoring import SIGNATURE, body, record
from shadowserve import faults
from shadowserve.console import tapped
from shadowserve.errors import RequestError
from shadowserve.records import Times
from shadowserve.schema.schema import Schema
from shadowserve.wire.protocols import protocols

TABLE = protocols("films", 3)
SCHEMA = Schema.from_signature(SIGNATURE)
SECRET = "s3cret-value"
GOOD = {"request_text": body(record(1)).decode(), "answer": {"predictions": [1.5]}, "latency_ms": 2}


def read(**changes):
    fields = {name: value for name, value in {**GOOD, **changes}.items() if value is not ...}
    return tapped.read(json.dumps(fields).encode(), TABLE)


def check(one, **options):
    return tapped.check(one, TABLE[one.protocol], SCHEMA, **{"max_body": 1_000, **options})


def test_bytes_sent_as_text_or_base64_are_the_bytes_that_passed():
    raw = body(record(1)) + b" \n"
    text = read(request_text=raw.decode())
    coded = read(request_text=..., request_base64=base64.b64encode(raw).decode())
    assert text.body == coded.body == raw


@pytest.mark.parametrize(
    "changes",
    [
        {"request_text": ...},
        {"request": [1]},
        {"answer": ...},
        {"answer_text": "x"},
        {"latency_ms": ...},
        {"latency_ms": -1},
        {"latency_ms": True},
        {"latency_ms": 1e300},
        {"latency_ms": SECRET},
        {"status": 99},
        {"status": SECRET},
        {"status": 200.0},
        {"protocol": SECRET},
        {"protocol": [SECRET]},
        {"request_id": 3},
        {"request_id": SECRET * 100},
        {"request_id": f"{SECRET}\n"},
        {"content_type": None},
        {"arrived_s": SECRET},
        {"request_text": 3},
        {"request_text": "\ud800"},
        {"request_text": ..., "request_base64": f"{SECRET}*"},
        {"request_text": ..., "request_base64": f"{SECRET}é"},
        {SECRET: 1},
    ],
    ids=str,
)
def test_what_is_no_record_is_refused_without_a_value(changes):
    with pytest.raises(RequestError) as refused:
        read(**changes)
    assert SECRET not in str(refused.value)
    assert refused.value.status == 400


@pytest.mark.parametrize("line", [b"", b"[]", b"3", b"{", b'{"a":1,"a":1}', b"\xff", b"[" * 9_999])
def test_what_is_no_object_is_refused(line):
    with pytest.raises(RequestError):
        tapped.read(line, TABLE)


def test_a_body_is_typed_by_the_champions_signature():
    _, rows = check(read())
    assert rows.n_rows == 1
    with pytest.raises(RequestError) as refused:
        check(read(request_text=json.dumps({"dataframe_records": [{"age": SECRET, "title": "t"}]})))
    assert refused.value.column == "age"
    assert SECRET not in str(refused.value)


def test_a_body_beyond_the_limit_is_refused_before_it_is_typed():
    with pytest.raises(RequestError) as refused:
        check(read(request_text="x" * 1_001))
    assert refused.value.status == 413


@pytest.mark.parametrize("answer", ["", "3", "[1]", '{"predictions"', '{"price": 1}', SECRET])
def test_an_answer_that_no_lane_could_read_is_refused(answer):
    with pytest.raises(RequestError) as refused:
        check(read(answer=..., answer_text=answer))
    assert refused.value.code == "bad_answer"
    assert SECRET not in str(refused.value)


def test_bare_nan_in_an_answer_becomes_null_and_other_bytes_stay():
    odd, _ = check(read(answer=..., answer_text='{"predictions": [NaN, -Infinity, 1.10]}'))
    assert odd.answer == b'{"predictions":[null,null,1.1]}'
    good, _ = check(read(answer=..., answer_text='{"predictions":  [1.10]}'))
    assert good.answer == b'{"predictions":  [1.10]}'


@pytest.mark.parametrize(
    ("status", "counts_as"),
    [(200, "answered"), (201, "answered"), (302, "rejected"), (422, "rejected"),
     (429, "overloaded"), (503, "overloaded"), (500, "failed"), (502, "failed")],
)  # fmt: skip
def test_a_status_counts_as_the_ledger_has_it(status, counts_as):
    assert (
        read(status=status, answer=... if status >= 300 else GOOD["answer"]).counts_as == counts_as
    )


def test_a_failure_is_journaled_by_its_status_alone():
    one = read(status=502, answer_text=SECRET, answer=...)
    kept = tapped.journaled(one, position=7, n_rows=1, sampled=True)
    assert (kept.status, kept.position) == (500, 7)
    assert faults.from_json(kept.answer).type == "HTTP 502"
    assert SECRET.encode() not in kept.answer


def test_the_servers_time_is_kept_as_inference_without_steps():
    kept = tapped.journaled(read(latency_ms=12.5), position=1, n_rows=3, sampled=True)
    times = Times.unpack(kept.times)
    assert times.total_ns == times.work_ns == 12_500_000
    assert (times.wall_ns, times.batch_requests, times.batch_rows) == ((), 1, 3)


def test_what_is_sampled_out_leaves_neither_body_nor_answer():
    kept = tapped.journaled(read(), position=1, n_rows=1, sampled=False)
    assert (kept.body, kept.answer) == (None, b"")


def test_a_clock_that_is_far_off_is_not_believed():
    now_ns = time.time_ns()
    assert read(arrived_s=4e9).arrived_wall_ns <= time.time_ns()
    assert read(arrived_s=1.0).arrived_wall_ns >= now_ns - tapped.MAX_AGE_S * 1.1e9
    assert read(arrived_s=(now_ns / 1e9) - 5).arrived_wall_ns == pytest.approx(
        now_ns - 5e9, abs=1e6
    )
