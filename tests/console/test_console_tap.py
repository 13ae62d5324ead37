"""`POST /tap`: a 202 says that it is in the journal, and everything else is counted."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace

import pytest

from rig.asgi import called, calling
from rig.deployment import deployment, made
from rig.scoring import body, record
from rig.tap_endpoint import LINES, SERVED, console, journaled, line, post
from shadowserve.console import tap as taps
from shadowserve.console.app import Console
from shadowserve.console.tap import Tap
from shadowserve.errors import JournalError
from shadowserve.journal import reader
from shadowserve.state import counters, ledger
from shadowserve.state import deployment as deployments

SECRET = "s3cret-value"


@pytest.fixture
def places(tmp_path):
    places = made(tmp_path, *SERVED.lanes)
    deployments.write(places, SERVED)
    return places


def test_records_are_journaled_when_they_are_answered_for(places):
    told = post(places, "\n".join(line(n) for n in range(5)) + "\n\n")
    assert told.status_code == 202
    assert told.json() == {"taken": 5, "appended": 5, "rejected": 0, "overloaded": 0, "errors": []}
    assert [one.request_id for one in journaled(places)] == [f"r{n}" for n in range(5)]
    assert journaled(places)[0].body == body(record(0))


def test_one_record_is_taken_as_json(places):
    told = post(places, line(), {"content-type": "application/json; charset=utf-8"})
    assert (told.status_code, told.json()["appended"]) == (202, 1)


def test_the_ledger_balances_over_good_failed_and_refused_records(places):
    bad = json.dumps({"dataframe_records": [{"age": SECRET, "title": "t"}]})
    lines = [line(1), line(2, status=500), line(3, status=503), line(4, status=422),
             line(5, request_text=bad), "nonsense", line(6, answer={"price": 1})]  # fmt: skip
    told = post(places, "\n".join(lines))
    assert told.status_code == 202
    assert (told.json()["taken"], told.json()["rejected"], told.json()["overloaded"]) == (2, 4, 1)
    assert [error["record"] for error in told.json()["errors"]] == [4, 5, 6]
    assert SECRET not in told.text
    counted = ledger.read(places, SERVED)
    assert counted.balanced
    assert (counted.champion.answered, counted.champion.failed) == (1, 1)
    assert (counted.champion.rejected, counted.champion.overloaded) == (4, 1)
    assert all(lane.pending == 2 for lane in counted.lanes)


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (line(answer={"no": 1}), {"content-type": "application/json"}, 400, "bad_answer"),
        ("{", {"content-type": "application/json"}, 400, "bad_json"),
        ("", LINES, 400, "empty"),
        ("\n" * 5, LINES, 400, "empty"),
        (line(), {"content-type": "text/plain"}, 415, "content_type"),
        (line(), {}, 415, "content_type"),
        (line(), {**LINES, "content-encoding": "gzip"}, 415, "content_encoding"),
        ("1\n" * (taps.MAX_RECORDS + 1), LINES, 413, "too_large"),
    ],
)
def test_what_cannot_be_taken_is_refused_in_the_contracts_form(
    places, content, headers, status, code
):
    told = post(places, content, headers)
    assert told.status_code == status
    assert told.json()["error"]["code"] == code
    assert {"code", "message", "column", "row", "request_id"} <= set(told.json()["error"])
    assert counters.read(places.counters(0)).rejected >= 1
    assert not journaled(places)


def test_too_many_bytes_at_once_are_refused(places, monkeypatch):
    monkeypatch.setattr(taps, "MAX_POST", 1_000)
    assert post(places, "x" * 1_001).status_code == 413


def test_what_does_not_fit_in_hand_gets_a_503_and_the_console_goes_on(places, monkeypatch):
    monkeypatch.setattr(taps, "MAX_HELD", 100_000)

    async def crowd():
        async with console(places) as client:
            stuck = asyncio.Event()

            async def slowly():
                yield b" " * 70_000
                await stuck.wait()
                yield line().encode()

            first = asyncio.create_task(client.post("/tap", content=slowly(), headers=LINES))
            while first.done() is False and not _held(client):
                await asyncio.sleep(0.01)
            second = await client.post("/tap", content=b" " * 70_000, headers=LINES)
            alive = await client.get("/livez")
            stuck.set()
            third = await first
            last = await client.post("/tap", content=line(), headers=LINES)
            return second, alive, third, last

    second, alive, third, last = asyncio.run(crowd())
    assert (second.status_code, second.headers["retry-after"]) == (503, "1")
    assert second.json()["error"]["code"] == "overloaded"
    assert (alive.status_code, third.status_code, last.status_code) == (200, 202, 202)
    assert counters.read(places.counters(0)).overloaded == 1


def _held(client):
    return client._transport.app.routes[-1].endpoint.__self__._tap._bodies.held


def test_a_journal_that_cannot_be_written_is_counted(places, monkeypatch):
    def full(*_):
        raise JournalError("full")

    monkeypatch.setattr("shadowserve.journal.writer.Writer.append", full)
    told = post(places, line())
    assert (told.status_code, told.json()["appended"]) == (202, 0)
    counted = ledger.read(places, SERVED)
    assert (counted.champion.append_failed, counted.balanced) == (1, True)


def test_a_next_process_goes_on_where_the_last_one_stopped(places):
    for n in range(3):
        post(places, line(n))
    assert reader.extent(places.journal).last == {0: 3}
    assert ledger.read(places, SERVED).champion.answered == 3


def test_a_share_is_journaled_without_bodies(places):
    served = deployment(options=replace(SERVED.options, sample_rate=0.0))
    post(places, line(), served=served)
    assert [one.body for one in journaled(places)] == [None]
    assert reader.extent(places.journal).last == {0: 1}


def test_readiness_waits_for_the_journal_and_life_does_not(places):
    async def ask():
        tap = Tap(places, SERVED)
        async with calling(Console(places, tap=tap).app()) as client:
            return [(await client.get(path)).status_code for path in ("/livez", "/readyz")], (
                await client.post("/tap", content=line(), headers=LINES)
            )

    codes, told = asyncio.run(ask())
    assert codes == [200, 503]
    assert told.status_code == 503


def test_without_tap_mode_nothing_is_taken(places):
    app = Console(places).app()
    ready = called(app, "GET", "/readyz")
    told = called(app, "POST", "/tap", content=line(), headers=LINES)
    assert ready.status_code == 200
    assert (told.status_code, told.json()["error"]["code"]) == (404, "no_tap")


def test_times_are_since_arrival(places):
    post(places, line(arrived_s=time.time() - 60))
    (one,) = journaled(places)
    assert time.time_ns() - one.arrived_wall_ns >= 60e9
    assert time.monotonic_ns() - one.arrived_ns >= 59e9
