"""A process on the leash: its own environment, log and group, and an end that comes."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shadowserve.host import leash
from shadowserve.supervisor.child import Child


def child(tmp_path, program, **options):
    fields = {"env": {"PATH": os.environ["PATH"]}, "log": tmp_path / "child.log", **options}
    return Child(name="child", command=("-c", program), **fields)


def until(true, seconds=30.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_its_talk_goes_to_a_log_for_its_owner_only(tmp_path):
    one = child(tmp_path, "print('talk'); import sys; sys.stderr.write('more'); sys.exit(5)")
    assert (one.pid, one.running, one.exit_code) == (0, False, None)
    one.start()
    assert one.wait(30)
    assert one.exit_code == 5
    assert sorted(one.log.read_text().splitlines()) in (["more", "talk"], ["moretalk"])
    assert stat.S_IMODE(one.log.stat().st_mode) == 0o600


def test_it_knows_its_parent_and_nothing_of_our_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("OURS", "secret")
    one = child(tmp_path, "import os; print(sorted(k for k in os.environ if k[0] in 'OS'), os.environ['SHADOWSERVE_PARENT'])")  # fmt: skip
    one.start()
    one.wait(30)
    assert one.log.read_text() == f"['SHADOWSERVE_BEGAN_NS', 'SHADOWSERVE_PARENT'] {os.getpid()}\n"


def test_it_ends_when_asked(tmp_path):
    one = child(tmp_path, "import time; print('up', flush=True); time.sleep(60)")
    one.start()
    until(lambda: one.log.read_text())
    assert one.end(deadline_s=30)
    assert one.exit_code == -signal.SIGTERM
    one.signal(signal.SIGTERM)  # nobody is there: nothing happens
    one.kill()


def test_it_is_made_to_end_with_all_that_it_started(tmp_path):
    program = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "own = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        "print(own.pid, flush=True); time.sleep(60)"
    )
    one = child(tmp_path, program)
    one.start()
    until(lambda: one.log.read_text().endswith("\n"))
    assert not one.end(deadline_s=0.05)
    assert one.exit_code == -signal.SIGKILL
    grandchild = int(one.log.read_text())
    until(lambda: not alive(grandchild))


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="Linux")
@pytest.mark.skipif(
    not Path("/proc/self/autogroup").exists(), reason="the kernel groups no sessions"
)
@pytest.mark.parametrize(("idle", "share"), [(True, "nice 5"), (False, "nice 0")])
def test_a_background_childs_session_has_a_small_share_of_a_cpu(tmp_path, idle, share):
    """Its nice value counts within its session only, where sessions are groups."""
    one = child(tmp_path, "print(open('/proc/self/autogroup').read())", idle=idle)
    one.start()
    one.wait(30)
    assert one.log.read_text().strip().endswith(share)


def test_a_background_child_runs_at_a_low_priority_on_its_cpus(tmp_path):
    cpu = min(os.sched_getaffinity(0))
    one = child(
        tmp_path,
        "import os; print(os.nice(0) > 0, os.sched_getaffinity(0))",
        idle=True,
        cpus=frozenset({cpu}),
    )
    one.start()
    assert one.wait(60)
    assert one.log.read_text() == f"True {{{cpu}}}\n"


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="Linux")
def test_a_background_child_that_is_to_end_gets_an_ordinary_claim_on_its_cpus(tmp_path):
    """Else it could take long to die where others keep its CPUs busy."""
    program = (
        "import os, signal, sys, time\n"
        "def told(*_):\n"
        "    print(os.sched_getscheduler(0) == os.SCHED_OTHER, flush=True)\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, told)\n"
        "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\n"
        "print(os.sched_getscheduler(0) == os.SCHED_OTHER, flush=True)\n"
        "time.sleep(60)"
    )
    one = child(tmp_path, program, idle=True)
    one.start()
    until(lambda: one.log.read_text())
    assert one.end(deadline_s=30)
    assert one.log.read_text().split() == ["False", str(may_step_forward())]


def may_step_forward():
    """Tell whether this user may lift a process out of the idle class."""
    program = "import os; os.sched_setscheduler(0, 5, os.sched_param(0)); os.sched_setscheduler(0, 0, os.sched_param(0))"  # fmt: skip
    return (
        subprocess.run([sys.executable, "-c", program], stderr=subprocess.DEVNULL).returncode == 0
    )


PARENT = """
import os, sys, time
from pathlib import Path
from shadowserve.supervisor.child import Child
one = Child("child", ("-c", "import time; time.sleep(60)"), {}, Path(sys.argv[1]))
one.start()
print(one.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(not leash.SUPPORTED, reason="Linux")
def test_it_does_not_outlive_a_parent_that_is_killed(tmp_path):
    """SIGKILL of the parent: the kernel ends the child (SS-111)."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True)  # fmt: skip
    pid = int(parent.stdout.readline())
    assert alive(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: not alive(pid), seconds=5.0)


def test_a_child_whose_parent_died_before_the_leash_ends_itself():
    program = (
        "from shadowserve.host.leash import watch_parent; watch_parent(1 << 30); print('lives')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)  # fmt: skip
    if leash.SUPPORTED:
        assert (done.returncode, done.stdout) == (1, b"")
