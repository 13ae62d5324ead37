"""Each batch is journaled once and counted once, wherever it is interrupted, and whatever fails."""

from __future__ import annotations

import pytest

from shadowserve.errors import JournalError
from shadowserve.records import Request, position
from shadowserve.serving.recorder import MAX_APPENDS, BatchRecorder, Entry
from shadowserve.state.counters import Counters


class Memory:
    """A journal in memory that raises what it is told to, before or after the rows are in."""

    def __init__(self) -> None:
        self.sequence = 0
        self.rows: list[Request] = []
        self.before: list[BaseException] = []
        self.after: list[BaseException] = []

    def position(self, offset):
        return position(0, self.sequence + 1 + offset)

    def append(self, requests):
        if self.before:
            raise self.before.pop()
        self.rows += requests
        self.sequence += len(requests)
        if self.after:
            raise self.after.pop()


def requests(place, statuses=(200, 500, 200)):
    return [
        Request(
            position=place(n), request_id=f"r{n}", arrived_wall_ns=0, arrived_ns=0,
            protocol="invocations", content_type="", body=b"", status=status, answer=b"", n_rows=1,
            times=b"",
        )
        for n, status in enumerate(statuses)
    ]  # fmt: skip


@pytest.fixture
def counters(tmp_path):
    counted = Counters(tmp_path / "0.bin")
    yield counted
    counted.close()


def record(journal, counters):
    """Record one batch, begun again while it is interrupted; return how often it was begun."""
    recorder, entry = BatchRecorder(journal, counters), Entry()
    for begun in range(1, 10):
        try:
            recorder.record(entry, requests)
        except SystemExit:
            continue
        assert entry.recorded
        recorder.record(entry, requests)  # once more is none
        return begun, entry
    raise AssertionError


def counted(counters):
    found = counters.counts()
    return found.answered, found.failed, found.appended, found.append_failed, found.sequence


def test_a_batch_is_written_and_counted_by_status(counters):
    journal = Memory()
    begun, entry = record(journal, counters)
    assert (begun, entry.appended, [one.position for one in journal.rows]) == (1, 3, [1, 2, 3])
    assert counted(counters) == (2, 1, 3, 0, 3)


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interruption_of_an_append_neither_doubles_nor_loses_it(counters, when):
    journal = Memory()
    setattr(journal, when, [SystemExit()])
    begun, _ = record(journal, counters)
    assert begun == 2
    assert len(journal.rows) == 3
    assert counted(counters) == (2, 1, 3, 0, 3)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_an_interruption_of_the_counting_counts_once(counters, monkeypatch, after):
    whole, raised = Counters.journal_step, []

    def interrupted(self, **counts):
        if not raised and not after:
            raised.append(1)
            raise SystemExit
        whole(self, **counts)
        if not raised:
            raised.append(1)
            raise SystemExit

    monkeypatch.setattr(Counters, "journal_step", interrupted)
    begun, _ = record(Memory(), counters)
    assert begun == 2
    assert counted(counters) == (2, 1, 3, 0, 3)


def test_what_the_journal_refuses_is_counted_at_once(counters):
    journal = Memory()
    journal.before = [JournalError("full")]
    begun, entry = record(journal, counters)
    assert (begun, entry.appended) == (1, 0)
    assert counted(counters) == (2, 1, 0, 3, 0)


def test_what_always_fails_is_counted_after_a_bounded_number_of_tries(counters):
    journal = Memory()
    journal.before = [SystemExit() for _ in range(10)]
    begun, _ = record(journal, counters)
    assert begun == MAX_APPENDS
    assert counted(counters) == (2, 1, 0, 3, 0)
