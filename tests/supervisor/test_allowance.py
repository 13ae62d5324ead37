"""A lane may have what the container leaves it, and a death for memory is told as one."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from rig.deployment import CHALLENGER, made
from shadowserve.host import clock
from shadowserve.state.lane_condition import condition
from shadowserve.supervisor.allowance import Allowance, kernel_kills
from shadowserve.supervisor.child import Child
from shadowserve.supervisor.watch import LaneWatch

GIB = 2**30


def allowance(given=4 * GIB, *, lanes=2, limit=None, champions=()):
    return Allowance(given, lambda: lanes, lambda: champions, lambda: limit)


def test_without_a_container_a_lane_may_have_what_was_given():
    assert allowance().bytes() == 4 * GIB


def test_lanes_share_what_the_champion_leaves_of_the_container():
    """Beyond it the kernel would end somebody, and that could be the champion."""
    alone = allowance(limit=2 * GIB).bytes()
    assert alone == int(0.9 * 2 * GIB / 2)
    beside = allowance(limit=2 * GIB, champions=[os.getpid()]).bytes()
    own = clock.own_bytes()
    assert alone - beside == pytest.approx(own / 2, rel=0.1)
    assert allowance(GIB // 4, limit=2 * GIB).bytes() == GIB // 4
    assert allowance(limit=1).bytes() > 0  # it can at least say why it cannot


def test_what_was_exceeded_is_told_with_what_to_do():
    assert "--lane-memory" in allowance(GIB).told(GIB)
    told = allowance(limit=2 * GIB).told(GIB)
    assert "1GiB" in told
    assert "2GiB that the container allows" in told


def test_files_that_a_process_maps_are_not_its_own_memory(tmp_path):
    """A memory-mapped index of 720 MB is the page cache's, however much of it is resident."""
    file = tmp_path / "index.bin"
    file.write_bytes(os.urandom(2**20) * 64)
    program = (
        "import mmap, sys\n"
        "file = open(sys.argv[1], 'rb')\n"
        "mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)\n"
        "sum(mapped[place] for place in range(0, len(mapped), 4096))\n"
        "held = b'x' * (32 * 2**20)\n"
        "print('up', flush=True)\n"
        "sys.stdin.read() or __import__('time').sleep(60)"
    )
    one = Child(name="lane", command=("-c", program, str(file)), env={**os.environ}, log=tmp_path / "log")  # fmt: skip
    one.start()
    until(lambda: "up" in one.log.read_text())
    resident, own = clock.rss_bytes(one.pid), clock.own_bytes(one.pid)
    one.kill()
    if Path("/proc/self/status").exists():
        assert resident - own > 60 * 2**20
        assert own > 32 * 2**20


def until(true, seconds=60.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("own", [True, False])
def test_a_lane_that_takes_too_much_while_it_loads_says_so(tmp_path, own, monkeypatch):
    """Not that a signal ended it: nothing is in hand yet, and its log is empty."""
    kills = [0]
    monkeypatch.setattr("shadowserve.supervisor.watch.kernel_kills", lambda: kills[0])
    places = made(tmp_path, CHALLENGER).lane(CHALLENGER.role, 4)
    command = ("-c", "import time; print('up', flush=True); time.sleep(60)")
    child = Child(name="lane", command=command, env={**os.environ}, log=tmp_path / "lane.log")
    watch = LaneWatch(
        name=CHALLENGER, places=places, child=child, deadline_s=9.0, memory_bytes=1,
        allowance=allowance(1 if own else GIB),
    )  # fmt: skip
    watch.start()
    if not own:
        kills[0] = 1
        os.kill(child.pid, 9)
    until(lambda: (watch.look(), watch.start_again_ns)[1])
    state, reason = condition(places)
    child.kill()
    assert state == "starting"
    assert "SIGKILL" not in reason
    assert ("--lane-memory" if own else "the kernel ended it for want of memory") in reason


@pytest.mark.skipif(not Path("/proc/self/oom_score_adj").exists(), reason="Linux")
@pytest.mark.parametrize(("idle", "score"), [(True, "800"), (False, None)])
def test_the_kernel_is_told_to_take_a_lane_before_the_champion(tmp_path, idle, score):
    program = "print(open('/proc/self/oom_score_adj').read())"
    one = Child(name="x", command=("-c", program), env={**os.environ}, log=tmp_path / "log", idle=idle)  # fmt: skip
    one.start()
    assert one.wait(60)
    usual = Path("/proc/self/oom_score_adj").read_text().strip()
    assert one.log.read_text().strip() == (score or usual)


@pytest.mark.parametrize(
    ("files", "kills"),
    [
        ({"proc/vmstat": "nr_x 1\noom_kill 7\n"}, 7),
        (
            {
                "proc/vmstat": "oom_kill 7\n",
                "proc/self/cgroup": "0::/app\n",
                "sys/fs/cgroup/app/memory.events": "low 0\noom 3\noom_kill 2\n",
            },
            2,
        ),
        ({}, 0),
    ],
)
def test_the_groups_own_count_of_kills_comes_before_the_machines(tmp_path, files, kills):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert kernel_kills(tmp_path) == kills
