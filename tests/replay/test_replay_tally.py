"""What became of requests: counted, timed from when they were due, refusals by their names."""

from __future__ import annotations

import json

import pytest

from shadowserve.replay.sending import Ended
from shadowserve.replay.tally import MOST_LISTED, Tally, Which


def refused(n, **error):
    body = json.dumps({"error": error}).encode()
    return Ended(Which(n, f"r{n}"), 0.0, 0.0, 0.001, 400, "", body)


def test_times_count_from_when_a_request_was_due():
    tally = Tally()
    tally(Ended("a", 1.0, 1.5, 2.0, 200))
    tally(Ended("b", 2.0, 2.0, 2.1, 503))
    tally(Ended("c", 2.0, 2.0, 9.0, 0, "timeout"))
    told = tally.to_dict()
    assert told["latency_ms"]["max"] == 1_000.0
    assert told["late_ms"]["max"] == 500.0
    assert (told["sent"], told["answered"], tally.errors) == (3, 1, 2)
    assert (told["statuses"], told["lost"]) == ({"200": 1, "503": 1}, {"timeout": 1})


def test_refusals_are_counted_by_code_and_column_and_the_first_are_listed():
    tally = Tally()
    for n in range(MOST_LISTED + 20):
        tally(refused(n, code="missing_column", column="age", row=0, message="no value"))
    tally(refused(99, code="bad_json"))
    told = tally.to_dict()["refused"]
    assert told["by"] == {"missing_column: age": MOST_LISTED + 20, "bad_json": 1}
    assert len(told["listed"]) == MOST_LISTED
    assert told["listed"][0] == {
        "position": 0, "request_id": "r0", "status": 400, "code": "missing_column", "column": "age",
    }  # fmt: skip
    assert tally.errors == 0


@pytest.mark.parametrize("body", [b"", b"nope", b"[]", b'{"error": "age is missing"}', b"\xff"])
def test_a_refusal_of_another_form_is_counted_by_its_status(body):
    tally = Tally()
    tally(Ended(Which(1, "r"), 0.0, 0.0, 0.0, 422, "", body))
    assert tally.to_dict()["refused"]["by"] == {"status 422": 1}


def test_nothing_has_no_times():
    told = Tally().to_dict()
    assert told["latency_ms"] == {"p50": None, "p90": None, "p99": None, "max": None}
    json.dumps(told, allow_nan=False)
