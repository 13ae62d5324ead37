"""The clock's readings are plausible, bounded, and None where nobody counts."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from shadowserve.host import clock

linux = sys.platform == "linux"
NO_SUCH_PROCESS = 2**22 + 1


def test_run_delay_never_shrinks_and_both_ways_to_read_it_agree():
    assert clock.supported() is linux
    if not linux:
        assert clock.run_delay_ns() is None
        return
    tid = threading.get_native_id()
    with clock.Starvation(os.getpid(), tid) as starvation:
        readings = [
            starvation.delay_ns(),
            clock.run_delay_ns(),
            clock.run_delay_ns(os.getpid(), tid),
        ]
    assert None not in readings
    assert readings == sorted(readings)


@pytest.mark.skipif(not linux, reason="only Linux counts run delay")
def test_two_threads_of_work_on_one_core_wait_for_each_other():
    burn = "import os,sys; os.sched_setaffinity(0,{int(sys.argv[1])}); sum(range(40_000_000))"
    core = str(min(os.sched_getaffinity(0)))
    burners = [subprocess.Popen([sys.executable, "-c", burn, core]) for _ in range(2)]
    waited = {burner.pid: 0 for burner in burners}
    while any(burner.poll() is None for burner in burners):
        for burner in burners:
            waited[burner.pid] = max(waited[burner.pid], clock.run_delay_ns(burner.pid) or 0)
        time.sleep(0.01)
    assert all(delay > 10_000_000 for delay in waited.values())


def test_a_process_that_is_gone_has_no_delay_and_no_memory():
    assert clock.run_delay_ns(NO_SUCH_PROCESS) is None
    assert clock.rss_bytes(NO_SUCH_PROCESS) is None


def test_a_thread_that_ended_while_watched_reads_as_none():
    go, seen = threading.Event(), []
    thread = threading.Thread(target=lambda: (seen.append(threading.get_native_id()), go.wait()))
    thread.start()
    while not seen:
        time.sleep(0.001)
    starvation = clock.Starvation(os.getpid(), seen[0])
    go.set()
    thread.join()
    until = time.monotonic() + 10
    while starvation.delay_ns() is not None and time.monotonic() < until:
        time.sleep(0.001)
    assert starvation.delay_ns() is None
    starvation.close()
    starvation.close()


def test_memory_grows_by_what_is_touched():
    before = clock.rss_bytes()
    block = b"x" * 64 * 1024**2
    after = clock.rss_bytes(os.getpid())
    assert before is not None
    assert after is not None
    assert after - before > 0.9 * len(block)


def test_where_there_is_no_proc_ps_tells_about_the_same():
    known, asked = clock.rss_bytes(), clock._rss_by_ps(os.getpid())
    if not Path("/bin/ps").exists():
        assert asked is None
        return
    assert known is not None
    assert asked == pytest.approx(known, rel=0.2)
    assert clock._rss_by_ps(NO_SUCH_PROCESS) is None


def test_this_machine_has_a_core_for_us():
    assert 1 <= clock.cpu_count() <= (os.cpu_count() or 1)


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V2 = {"proc/self/cgroup": "0::/app/web\n", "sys/fs/cgroup/app/web/cpu.max": "max 100000\n"}
V1 = {"proc/self/cgroup": "4:memory:/pod/a\n1:cpu:/pod/a\n0::/\n"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"proc/self/cgroup": "0::/\n"}, 8),
        (V2, 8),
        ({**V2, "sys/fs/cgroup/app/cpu.max": "250000 100000\n"}, 2),
        ({**V2, "sys/fs/cgroup/app/web/cpu.max": "50000 100000\n"}, 1),
        ({**V2, "sys/fs/cgroup/cpu.max": "300000 100000\n"}, 3),
        (
            {
                **V1,
                "sys/fs/cgroup/cpu/pod/a/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/pod/a/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            4,
        ),
        (
            {
                "proc/self/cgroup": "2:cpu,cpuacct:/x\n",
                "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us": "200000\n",
                "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us": "100000\n",
            },
            2,
        ),
    ],
)
def test_cores_are_the_least_of_affinity_and_every_quota_around_us(
    tmp_path, monkeypatch, files, expected
):
    """Only the count of cores is set by hand; the control groups are real files."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert clock.cpu_count(tree(tmp_path, files)) == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({**V2, "sys/fs/cgroup/app/web/memory.max": "max\n"}, None),
        (
            {
                **V2,
                "sys/fs/cgroup/app/web/memory.max": "3221225472\n",
                "sys/fs/cgroup/app/memory.max": "max\n",
            },
            3 * 1024**3,
        ),
        ({**V1, "sys/fs/cgroup/memory/pod/memory.limit_in_bytes": "1000000\n"}, 1_000_000),
        ({**V1, "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
    ],
)
def test_the_memory_limit_is_the_least_around_us(tmp_path, files, expected):
    assert clock.memory_limit_bytes(tree(tmp_path, files)) == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"proc/meminfo": "MemTotal: 9 kB\nMemAvailable: 5 kB\n"}, 5 * 1024),
        (
            {
                **V2,
                "proc/meminfo": "MemAvailable: 5 kB\n",
                "sys/fs/cgroup/app/web/memory.max": "4000\n",
                "sys/fs/cgroup/app/web/memory.current": "1000\n",
                "sys/fs/cgroup/app/memory.max": "max\n",
                "sys/fs/cgroup/app/memory.current": "9000\n",
            },
            3_000,
        ),
        (
            {
                **V1,
                "sys/fs/cgroup/memory/pod/memory.limit_in_bytes": "1000\n",
                "sys/fs/cgroup/memory/pod/memory.usage_in_bytes": "2000\n",
            },
            0,
        ),
    ],
)
def test_what_is_free_is_the_least_of_machine_and_control_groups(tmp_path, files, expected):
    assert clock.available_bytes(tree(tmp_path, files)) == expected
