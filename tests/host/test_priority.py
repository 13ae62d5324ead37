"""Background processes load beside busy strangers, and then take little, or nothing of a champion's core."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from rig import busy
from shadowserve.host.placement import place
from shadowserve.host.priority import VARIABLE, Priority
from shadowserve.supervisor.child import Child

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/schedstat").exists() or not hasattr(os, "SCHED_IDLE"), reason="Linux"
)

STRANGERS = 2
BURNT_NS = 8 * 10**8
SPIN = "while True: pass"
LOADS = f"print('up', flush=True)\n{SPIN}"
WORKS = f"from shadowserve.host import priority\npriority.settle()\nprint('up', flush=True)\n{SPIN}"


def used_ns(pid):
    """CPU time of a process's main thread."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


@pytest.fixture
def strangers():
    """Busy processes of somebody else's, each in a session of its own, all on one CPU."""
    with busy.strangers(STRANGERS) as found:
        yield found


def share(tmp_path, strangers, program, priority):
    """A background process's share of the CPU, in percent of what two busy strangers get."""
    env = {**os.environ, VARIABLE: priority.value}
    cpu = frozenset({min(os.sched_getaffinity(0))})
    child = Child(name="lane", command=("-c", program), env=env, log=tmp_path / "log", idle=True)
    child.start()
    try:
        if program is WORKS:
            while "up" not in child.log.read_text():
                time.sleep(0.01)
        os.sched_setaffinity(child.pid, cpu)
        began = {one.pid: used_ns(one.pid) for one in (child, *strangers)}
        while sum(used_ns(one.pid) - began[one.pid] for one in strangers) < BURNT_NS:
            time.sleep(0.02)
        took = {pid: used_ns(pid) - before for pid, before in began.items()}
        return 100 * took[child.pid] / sum(took[one.pid] for one in strangers)
    finally:
        child.kill()


@pytest.mark.parametrize("priority", Priority)
def test_a_lane_that_loads_is_not_starved_by_busy_strangers(tmp_path, strangers, priority):
    assert share(tmp_path, strangers, LOADS, priority) > 1.5


def test_a_lane_at_work_keeps_a_share_where_no_champion_is_on_its_core(tmp_path, strangers):
    assert share(tmp_path, strangers, WORKS, Priority.LOW) > 1.5


def test_a_lane_at_work_leaves_a_champions_core_to_the_champion(tmp_path, strangers):
    assert share(tmp_path, strangers, WORKS, Priority.IDLE) < 1.5


def test_a_lane_of_ordinary_priority_gets_as_much_as_each_stranger(tmp_path, strangers):
    """Two strangers and the lane: a half of what both of them get."""
    assert share(tmp_path, strangers, WORKS, Priority.NORMAL) > 25


def test_a_lane_shares_a_core_with_the_champion_where_there_are_too_few(tmp_path):
    assert place(workers=1, lanes=1, cpus=[0]).shares_core
    assert not place(workers=1, lanes=1, cpus=[0, 1]).shares_core
    assert not place(workers=0, lanes=1, cpus=[0]).shares_core  # the champion answers elsewhere


def test_stepping_back_is_for_all_threads_of_a_process(tmp_path):
    """Linux keeps the class by thread; a library's own threads are there before the version is loaded."""
    program = (
        "import os, threading\n"
        "from shadowserve.host import priority\n"
        "done = threading.Event()\n"
        "other = threading.Thread(target=done.wait); other.start()\n"
        "priority.settle()\n"
        "print({os.sched_getscheduler(int(t)) for t in os.listdir('/proc/self/task')})\n"
        "done.set()"
    )
    env = {**os.environ, VARIABLE: Priority.IDLE.value}
    one = Child(name="lane", command=("-c", program), env=env, log=tmp_path / "log", idle=True)
    one.start()
    assert one.wait(60)
    assert one.log.read_text() == f"{{{os.SCHED_IDLE}}}\n"


@pytest.mark.skipif(
    not Path("/proc/self/autogroup").exists(), reason="the kernel groups no sessions"
)
def test_a_session_of_its_own_has_no_larger_claim_than_who_began_it(tmp_path):
    inner = "from shadowserve.host import priority as p; p.load(); print(open('/proc/self/autogroup').read())"
    program = (
        "import subprocess, sys\n"
        f"subprocess.run([sys.executable, '-c', {inner!r}], check=True, start_new_session=True)"
    )
    env = {**os.environ, VARIABLE: Priority.IDLE.value}
    one = Child(name="joiner", command=("-c", program), env=env, log=tmp_path / "log", idle=True)
    one.start()
    assert one.wait(60)
    assert one.log.read_text().strip().endswith(f"nice {Priority.IDLE.loading_nice}")


@pytest.mark.skipif(
    not Path("/proc/self/autogroup").exists(), reason="the kernel groups no sessions"
)
def test_a_process_in_somebody_elses_session_slows_nobody_else(tmp_path):
    program = (
        "import subprocess, sys\n"
        "before = open('/proc/self/autogroup').read()\n"
        "inner = 'from shadowserve.host import priority as p; p.step_back(p.Priority.IDLE); p.settle()'\n"
        "subprocess.run([sys.executable, '-c', inner], check=True)\n"
        "print(before == open('/proc/self/autogroup').read())"
    )
    one = Child(name="shell", command=("-c", program), env=dict(os.environ), log=tmp_path / "log")
    one.start()
    assert one.wait(60)
    assert one.log.read_text() == "True\n"


def test_what_a_process_starts_once_it_has_settled_loads_like_any_other(tmp_path):
    """Where this user may raise a priority at all; else it stays as low as what started it."""
    inner = (
        "import os; from shadowserve.host import priority as p; p.load(); "
        "print(os.sched_getscheduler(0) == os.SCHED_OTHER, os.getpriority(os.PRIO_PROCESS, 0))"
    )
    program = (
        "import subprocess, sys\n"
        "from shadowserve.host import priority as p\n"
        "p.settle()\n"
        f"subprocess.run([sys.executable, '-c', {inner!r}], check=True)\n"
    )
    env = {**os.environ, VARIABLE: Priority.IDLE.value}
    one = Child(name="lane", command=("-c", program), env=env, log=tmp_path / "log", idle=True)
    one.start()
    assert one.wait(60)
    may = os.geteuid() == 0
    assert one.log.read_text() in (["True 10\n"] if may else ["True 10\n", "False 10\n"])
