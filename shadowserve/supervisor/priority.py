"""A process's claim on CPUs: the last when it works, an ordinary one when it is to end.

An idle process that is killed still needs a CPU to give its memory back. Beside three busy strangers
that was measured to take eight seconds, and 0.1 once it had been given an ordinary claim.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def step_back() -> None:
    """Let the calling process run only when nobody else wants the CPU, itself and its session.

    Where Linux groups tasks by session (autogroup, as it comes with most distributions) a class or a nice
    value counts within the session only: an idle-class lane would get as much of a CPU as the champion.
    """
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(19)
    with contextlib.suppress(OSError):
        _session_share("self", 19)


def step_forward(pid: int) -> None:
    """Give a process that is to end an ordinary claim, as far as this user may."""
    if not hasattr(os, "SCHED_IDLE"):
        return
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setscheduler(int(task.name), os.SCHED_OTHER, os.sched_param(0))
    with contextlib.suppress(OSError):
        _session_share(str(pid), 0)


def _session_share(pid: str, nice: int) -> None:
    with Path(f"/proc/{pid}/autogroup").open("r+") as group:  # never created where it is not there
        group.write(str(nice))
