"""A worker's own files: opened together, counted up to what the last process left, sealed at the end."""

from __future__ import annotations

import os
import time

from rig.deployment import made
from shadowserve.errors import JournalError
from shadowserve.journal import reader
from shadowserve.records import Request
from shadowserve.serving import worker_journal
from shadowserve.serving.recorder import Entry
from shadowserve.serving.worker_journal import WorkerJournal, meet
from shadowserve.state import counters, unknown_columns


def request(place):
    return [
        Request(
            position=place(0), request_id="r", arrived_wall_ns=0, arrived_ns=0,
            protocol="invocations", content_type="", body=b"", status=200, answer=b"", n_rows=1,
            times=b"",
        )
    ]  # fmt: skip


def test_what_a_process_records_the_next_one_goes_on_from(tmp_path):
    places = made(tmp_path)
    for _ in range(2):
        files = WorkerJournal(places, 0)
        files.open([("predict", ())]).record(Entry(), request)
        files.close()
    found = counters.read(places.counters(0))
    assert (found.answered, found.appended, found.sequence) == (2, 2, 2)
    assert (found.pid, found.ready) == (os.getpid(), 0)
    assert reader.extent(places.journal).last == {0: 2}


def test_a_journal_that_cannot_be_opened_is_taken_up_later(tmp_path, monkeypatch):
    def full(*_, **__):
        raise JournalError("full")

    monkeypatch.setattr(worker_journal.writer, "Writer", full)
    places = made(tmp_path)
    files = WorkerJournal(places, 0)
    recorder = files.open()
    recorder.record(Entry(), request)
    assert files.counters.counts().append_failed == 1
    monkeypatch.undo()
    while not files.counters.counts().appended:
        time.sleep(0.01)
        recorder.record(Entry(), request)
    files.close()
    found = counters.read(places.counters(0))
    assert found.answered == found.appended + found.append_failed


def test_unknown_columns_are_counted_and_named(tmp_path):
    places = made(tmp_path)
    files = WorkerJournal(places, 0)
    meet(["tenure", "region"], files.counters, files.unknown_columns)
    files.close()
    assert counters.read(places.counters(0)).extra_columns == 2
    assert unknown_columns.read([places.unknown_columns(0)]).names == ("tenure", "region")
