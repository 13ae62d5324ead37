"""What a deployment's processes had started ends with the supervisor, however it ends."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time

import psutil
import pytest

from shadowserve.supervisor import orphans
from shadowserve.supervisor.orphans import VARIABLE, Sweeper

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells environments")

SLEEP = "import time; time.sleep(600)"


def bearing(token: str) -> subprocess.Popen[bytes]:
    """A process of the deployment, in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", SLEEP], env={**os.environ, VARIABLE: token}, start_new_session=True
    )


def test_only_who_bears_the_token_is_ended():
    mine, others = secrets.token_hex(8), secrets.token_hex(8)
    processes = [bearing(mine), bearing(others), bearing(f"{mine}x")]
    try:
        time.sleep(0.05)
        assert orphans.end_all(mine) == 1
        assert processes[0].wait(10) == -signal.SIGKILL
        assert [one.poll() for one in processes[1:]] == [None, None]
        assert orphans.end_all(mine) == 0
    finally:
        for one in processes:
            one.kill()
            one.wait()


def test_a_clean_end_sweeps_and_waits_for_it():
    token = secrets.token_hex(8)
    sweeper, left = Sweeper(token), bearing(token)
    assert left.poll() is None
    sweeper.close()
    assert left.wait(10) == -signal.SIGKILL
    sweeper.close()  # twice does no harm


def test_a_killed_supervisor_leaves_nobody():
    """Its own child is somebody's who called `setsid`: no group, no parent tells whose it is."""
    token = secrets.token_hex(8)
    program = (
        "import os, subprocess, sys, time\n"
        "from shadowserve.supervisor.orphans import VARIABLE, Sweeper\n"
        f"sweeper = Sweeper({token!r})\n"
        f"env = {{**os.environ, VARIABLE: {token!r}}}\n"
        f"left = subprocess.Popen([sys.executable, '-c', {SLEEP!r}], env=env, start_new_session=True)\n"
        "print(left.pid, sweeper._process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    supervisor = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    left, waiting = map(int, supervisor.stdout.readline().split())
    supervisor.kill()
    supervisor.wait()
    supervisor.stdout.close()
    until = time.monotonic() + 30
    while psutil.pid_exists(left) or psutil.pid_exists(waiting):
        assert time.monotonic() < until
        time.sleep(0.05)
