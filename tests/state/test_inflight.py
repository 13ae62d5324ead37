"""The in-flight mark: what is in hand, also after the death of who held it."""

from __future__ import annotations

import os
import stat
import threading
import time

import pytest

from rig.journal import killed
from shadowserve.state import inflight
from shadowserve.state.inflight import MAX_IN_HAND, InFlight


@pytest.fixture
def path(tmp_path):
    return tmp_path / "inflight.bin"


def test_what_is_in_hand_is_read_with_who_holds_it(path):
    mark = InFlight(path)
    mark.mark([7, 8, 9])
    mark.step[0] = 4
    seen = inflight.read(path)
    assert (seen.pid, seen.tid) == (os.getpid(), threading.get_native_id())
    assert (seen.positions, seen.step) == ((7, 8, 9), 4)
    assert 0 <= seen.worked_ns() <= time.monotonic_ns() - seen.started_ns
    mark.close()


def test_nothing_is_in_hand_after_clearing(path):
    mark = InFlight(path)
    mark.mark(range(MAX_IN_HAND))
    assert len(inflight.read(path).positions) == MAX_IN_HAND
    mark.clear()
    assert (inflight.read(path).positions, inflight.read(path).step) == ((), -1)
    mark.close()


def test_a_new_mark_begins_between_steps(path):
    mark = InFlight(path)
    mark.step[0] = 3
    mark.mark([1])
    assert inflight.read(path).step == -1
    mark.close()


def test_a_lane_that_never_started_holds_nothing(path):
    assert inflight.read(path).positions == ()
    path.write_bytes(b"x")
    assert inflight.read(path).positions == ()


def test_only_the_owner_may_read(path):
    InFlight(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_read_while_it_changes_is_one_whole_mark_or_none(path):
    """Read at any instant of a change, positions come with their own time, or not at all."""
    mark = InFlight(path)
    stop = threading.Event()

    def change():
        n = 0
        while not stop.is_set():
            n += 1
            mark.mark([n] * (1 + n % 5))
            mark.clear()

    busy = threading.Thread(target=change)
    busy.start()
    try:
        for _ in range(2_000):
            seen = inflight.read(path)
            assert not seen.positions or seen.started_ns
            assert len(set(seen.positions)) <= 1
    finally:
        stop.set()
        busy.join()
        mark.close()


@pytest.mark.parametrize("count", [-1, MAX_IN_HAND + 1, 2**62])
def test_a_torn_count_holds_nothing(path, count):
    mark = InFlight(path)
    mark.mark([7])
    mark._map[24:32] = count.to_bytes(8, "little", signed=True)
    assert inflight.read(path).positions == ()
    mark.close()


HOLDING = """
import sys, time
from pathlib import Path
from shadowserve.state.inflight import InFlight
mark = InFlight(Path(sys.argv[1]))
mark.mark([5])
mark.step[0] = 1
print("holding", flush=True)
time.sleep(60)
"""


def test_the_mark_outlives_its_process(path):
    killed(HOLDING, str(path), after_s=0.0)
    seen = inflight.read(path)
    assert (seen.positions, seen.step) == ((5,), 1)
    assert seen.worked_ns() > 0  # of a process that is gone: nothing can be taken out


def test_what_another_process_waited_for_a_cpu_is_no_work(path):
    mark = InFlight(path)
    mark.mark([7])
    waited_ns = 10**12
    mark.starve(waited_ns)
    assert inflight.read(path).worked_ns() == 0
    mark.starve(0)
    mark.mark([8])
    assert inflight.read(path).positions == (8,)
    assert inflight.read(path).run_delay_ns >= 0
    mark.close()
