"""A worker's counts survive its death, and belong together at any instant."""

from __future__ import annotations

import os
import stat
import threading

import pytest

from rig.journal import killed
from shadowserve.state import counters
from shadowserve.state.counters import Counters, Counts

STEP = {"answered": 2, "failed": 1, "appended": 3, "append_failed": 0}


def test_counts_go_on_where_they_stood(tmp_path):
    path = tmp_path / "0.bin"
    for n in (1, 2):
        counted = Counters(path)
        counted.add("rejected", 4)
        counted.journal_step(**STEP, sequence=3 * n)
        counted.set("pid", os.getpid())
        counted.close()
    found = counters.read(path)
    assert found == Counts(
        pid=os.getpid(), rejected=8, answered=4, failed=2, appended=6, sequence=6
    )
    assert found.alive


def test_a_worker_that_never_started_counted_nothing(tmp_path):
    assert counters.read(tmp_path / "none.bin") == Counts()
    assert not Counts().alive
    (tmp_path / "short.bin").write_bytes(b"x")
    assert counters.read(tmp_path / "short.bin") == Counts()


def test_the_writer_and_a_reader_see_the_same(tmp_path):
    counted = Counters(tmp_path / "0.bin")
    counted.journal_step(answered=0, failed=0, appended=0, append_failed=5, sequence=0)
    assert counted.counts() == counters.read(tmp_path / "0.bin") == Counts(append_failed=5)
    counted.close()


def test_a_file_of_an_earlier_release_goes_on(tmp_path):
    """What was added since lies behind what it held."""
    path = tmp_path / "0.bin"
    counted = Counters(path)
    counted.add("rejected", 4)
    counted.journal_step(**STEP, sequence=3)
    counted.set("beat_ns", 7)
    counted.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: -8 * len(counters._LATER)])
    counted = Counters(path)
    assert counted.counts().beat_ns == 0
    counted.set("beat_ns", 7)
    counted.close()
    assert path.read_bytes() == whole


def test_only_the_owner_may_read(tmp_path):
    Counters(tmp_path / "0.bin").close()
    assert stat.S_IMODE((tmp_path / "0.bin").stat().st_mode) == 0o600


def test_a_reader_never_sees_half_a_journal_step(tmp_path):
    counted, done = Counters(tmp_path / "0.bin"), threading.Event()

    def count():
        for n in range(1, 20_001):
            counted.journal_step(**STEP, sequence=3 * n)
        done.set()

    thread = threading.Thread(target=count)
    thread.start()
    while not done.is_set():
        seen = counters.read(tmp_path / "0.bin")
        assert seen.answered + seen.failed == seen.appended == seen.sequence
        assert seen.answered == 2 * seen.failed
    thread.join()
    counted.close()


ENDLESS = """
import sys
from pathlib import Path
from shadowserve.state.counters import Counters
counted = Counters(Path(sys.argv[1]))
n = 0
while True:
    n += 3
    counted.journal_step(answered=2, failed=1, appended=3, append_failed=0, sequence=n)
    if n % 300 == 0:
        print(n, flush=True)
"""


@pytest.mark.parametrize("after_s", [0.0, 0.013, 0.07])
def test_a_killed_worker_leaves_counts_that_belong_together(tmp_path, after_s):
    told = int(killed(ENDLESS, str(tmp_path / "0.bin"), after_s=after_s)[-1])
    found = counters.read(tmp_path / "0.bin")
    assert found.answered + found.failed == found.appended == found.sequence >= told
    assert found.answered == 2 * found.failed


def test_what_the_journal_knows_more_is_added():
    counted = Counts(answered=5, failed=1, appended=6, sequence=6)
    assert counted.with_journaled({200: 2, 500: 1}) == Counts(
        answered=7, failed=2, appended=9, sequence=9
    )
    assert counted.with_journaled({}) == counted


def test_a_process_that_ended_is_not_alive(tmp_path):
    assert not counters.is_alive(2**22 + 1)  # beyond Linux's largest
    assert counters.is_alive(os.getpid())
    assert counters.is_alive(1)  # somebody else's, or ours


def test_steps_of_two_threads_all_count_and_the_sequence_never_falls(tmp_path):
    """A journal that opens late counts what was left while answers are being counted."""
    counted = Counters(tmp_path / "0.bin")

    def step(sequence):
        for _ in range(5_000):
            counted.journal_step(**STEP, sequence=sequence)

    threads = [threading.Thread(target=step, args=(n,)) for n in (7, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = counted.counts()
    assert counts.appended == 10_000 * STEP["appended"]
    assert counts.answered + counts.failed == counts.appended + counts.append_failed
    assert counts.sequence == 7
