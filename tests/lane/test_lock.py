"""Lanes that share a CPU score one at a time, and none waits for a hung one for ever."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest

from shadowserve.lane.lock import ScoringLock

HOLD = """
import sys, time
from pathlib import Path
from shadowserve.lane.lock import ScoringLock
with ScoringLock((Path(sys.argv[1]), Path(sys.argv[2]))).held():
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def places(tmp_path):
    return tmp_path / "lock", tmp_path / "next"


def test_one_lane_scores_at_a_time(places):
    log, lanes = [], [ScoringLock(places, patience_s=10.0) for _ in range(3)]

    def work(which):
        for _ in range(20):
            with lanes[which].held() as mine:
                assert mine
                log.append(("in", which))
                time.sleep(0.001)
                log.append(("out", which))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(log) == 120
    for entered, left in zip(log[::2], log[1::2], strict=True):
        assert (entered[0], left[0]) == ("in", "out")
        assert entered[1] == left[1]


def test_a_busy_lane_lets_one_that_waits_go_first(places):
    busy, other = ScoringLock(places), ScoringLock(places)
    came = threading.Event()

    def wait():
        with other.held() as mine:
            assert mine
            came.set()

    thread = threading.Thread(target=wait)
    rounds = 0
    with busy.held():
        thread.start()
        while not _is_held(places[1]):
            time.sleep(0.001)
    while not came.is_set():
        with busy.held():
            rounds += 1
    thread.join()
    assert rounds <= 1


def test_whoever_waits_too_long_goes_on_beside_the_other(places):
    hung, other = ScoringLock(places), ScoringLock(places, patience_s=0.05)
    with hung.held() as first, other.held() as second:
        assert (first, second) == (True, False)
    with other.held() as mine:
        assert mine


def test_a_lane_that_dies_frees_the_lock(places):
    command = [sys.executable, "-c", HOLD, *map(str, places)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with ScoringLock(places, patience_s=0.0).held() as mine:
            assert not mine
        holder.send_signal(signal.SIGKILL)
    with ScoringLock(places, patience_s=0.0).held() as mine:
        assert mine


def test_the_lock_is_given_back_at_the_end(places):
    own = ScoringLock(places)
    own.close()
    with ScoringLock(places, patience_s=0.0).held() as mine:
        assert mine


def _is_held(path) -> bool:
    with ScoringLock((path, path.with_name("unused")), patience_s=0.0).held() as free:
        return not free
