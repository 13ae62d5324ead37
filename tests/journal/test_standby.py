"""A journal that cannot be opened is tried again, and takes over between two appends."""

from __future__ import annotations

import threading

import pytest

from rig.journal import request
from shadowserve.errors import JournalError, UnreadableError
from shadowserve.journal import reader
from shadowserve.journal.segment_file import segments
from shadowserve.journal.standby import Standby
from shadowserve.journal.writer import Writer


class Disk:
    """Opens the real journal once there is room."""

    def __init__(self, directory):
        self.directory = directory
        self.room = threading.Event()
        self.opened = threading.Event()

    def open(self):
        if not self.room.is_set():
            raise JournalError("full")
        writer = Writer(self.directory, worker=0)
        self.opened.set()
        return writer


def append(journal, n=1):
    journal.append([request(journal.position(i)) for i in range(n)])


def test_nothing_is_written_until_it_opens_and_everything_after(tmp_path):
    disk = Disk(tmp_path)
    journal = Standby(disk.open, worker=0, sequence=0, every_s=0.01)
    for _ in range(3):
        with pytest.raises(JournalError):
            append(journal)
    disk.room.set()
    assert disk.opened.wait(10)
    opened = 0
    for _ in range(1000):
        try:
            append(journal, 2)
        except JournalError:
            threading.Event().wait(0.01)
        else:
            opened += 2
            if opened == 6:
                break
    journal.close()
    assert journal.sequence == 6
    assert len(reader.JournalReader(tmp_path, cursor={}).read(100).requests) == 6


def test_a_journal_that_cannot_be_read_yet_is_tried_again_too(tmp_path):
    """What an earlier process left is counted first, and on a full disk it cannot even be read."""
    tries = iter([UnreadableError(tmp_path, OSError("full")), JournalError("full")])

    def open_journal():
        for error in tries:
            raise error
        return Writer(tmp_path, worker=0)

    journal = Standby(open_journal, worker=0, sequence=0, every_s=0.01)
    journal._thread.join(10)
    journal.close()
    assert not journal._thread.is_alive()
    assert len(segments(tmp_path)) == 1


def test_it_goes_on_where_an_earlier_process_stopped(tmp_path):
    earlier = Writer(tmp_path, worker=0)
    append(earlier, 4)
    earlier.close()
    disk = Disk(tmp_path)
    disk.room.set()
    journal = Standby(disk.open, worker=0, sequence=4, every_s=0.01)
    assert disk.opened.wait(10)
    for _ in range(1000):
        try:
            append(journal)
            break
        except JournalError:
            threading.Event().wait(0.01)
    journal.close()
    assert journal.sequence == 5


def test_closing_ends_the_tries(tmp_path):
    disk = Disk(tmp_path)
    journal = Standby(disk.open, worker=0, sequence=7, every_s=60)
    journal.close()
    assert journal.sequence == 7
    assert list(tmp_path.iterdir()) == []


def test_whatever_opening_raises_it_is_tried_again(tmp_path):
    """A thread that ended on the first surprise would leave nothing recorded for good."""
    disk, raised = Disk(tmp_path), []
    disk.room.set()

    def opening():
        if len(raised) < 3:
            raised.append(OSError("no handles") if raised else ValueError("a surprise"))
            raise raised[-1]
        return disk.open()

    journal = Standby(opening, worker=0, sequence=0, every_s=0.01)
    assert disk.opened.wait(20)
    journal.close()
