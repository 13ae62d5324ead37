"""What others left is reaped, as process 1 of a container must; what is waited for is left alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's process table")

STORY = textwrap.dedent("""
    import ctypes, os, subprocess, sys, time
    from pathlib import Path
    from shadowserve.supervisor.reaping import Reaper

    if os.getpid() != 1:
        ctypes.CDLL(None).prctl(36, 1)  # inherit orphans, as process 1 does
    LEAVING = "import os; [os.fork() or os._exit(0) for _ in range(5)]"
    for _ in range(5):
        subprocess.run([sys.executable, "-c", LEAVING])
    own = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"])

    def zombies():
        stats = Path("/proc").glob("[0-9]*/stat")
        ended = []
        for stat in stats:
            try:
                told = stat.read_text().rpartition(") ")[2].split()
            except OSError:
                continue
            if told[0] == "Z" and told[1] == str(os.getpid()):
                ended.append(int(stat.parent.name))
        return ended

    until = time.monotonic() + 30
    while own.pid not in zombies() and time.monotonic() < until:
        pass
    before = len(zombies())
    reaper = Reaper()
    first = reaper.look({own.pid})
    second = 0
    while zombies() != [own.pid] and time.monotonic() < until:
        second += reaper.look({own.pid})
    print(before > 1, first, second >= before - 1, zombies() == [own.pid], own.wait())
""")


def told_by(*command: str) -> list[str]:
    ran = subprocess.run([*command, sys.executable, "-c", STORY], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


def test_what_was_inherited_is_reaped_and_what_is_waited_for_is_not():
    assert told_by() == ["True", "0", "True", "True", "7"]


def test_it_holds_as_process_1():
    space = ("unshare", "--pid", "--fork", "--mount-proc")
    if shutil.which("unshare") is None or subprocess.run([*space, "true"], check=False).returncode:
        pytest.skip("needs the right to make a process namespace")
    assert told_by(*space) == ["True", "0", "True", "True", "7"]
