"""The CPU priority of a background process: medium while it loads, low while it works, ordinary to end.

Loading a version takes seconds of CPU. At the lowest class beside busy strangers it never ends, so
that nothing is ever scored. A process that loads is therefore only nice, and steps back once it has
loaded. Where it shares a core with a champion's worker it goes to the lowest class, elsewhere to a
small but certain share.

An idle process that is killed still needs a CPU to give its memory back. Beside three busy strangers
that was measured to take eight seconds, and 0.1 once it had been given an ordinary claim.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

SHARES_CORE = "SHADOWSERVE_SHARES_CORE"
"""Variable that the supervisor sets for background processes that share a champion's core."""

LOADING_NICE = 5
LOADING_NICE_SHARED = 10
"""While a version loads: a third of an ordinary claim, or a tenth beside the champion."""
WORKING_NICE = 10
"""Once it has loaded, where no champion is on the core: a tenth of an ordinary claim."""
LEAST_NICE = 19


def step_back(*, shared: bool) -> None:
    """Give the calling process, which is about to load, a small claim: itself and its session.

    Most distributions group tasks by session (autogroup), and there a class or a nice value counts
    within the session only. A lane would get as much of a CPU as the champion.
    """
    nice = LOADING_NICE_SHARED if shared else LOADING_NICE
    os.nice(nice)
    with contextlib.suppress(OSError):
        _session_share("self", nice)


def settle(environ: Mapping[str, str] = os.environ, *, pid: int = 0) -> None:
    """Let a process that has loaded run at its working claim, all its threads and its session.

    Parameters
    ----------
    environ : mapping
        Says whether it shares a core with a champion's worker; then only the lowest class will do.
    pid : int
        The calling process if 0.
    """
    shared = SHARES_CORE in environ
    nice = LEAST_NICE if shared else WORKING_NICE
    name = str(pid or os.getpid())
    if not hasattr(os, "SCHED_IDLE"):
        os.setpriority(os.PRIO_PROCESS, pid, max(nice, os.getpriority(os.PRIO_PROCESS, pid)))
        return
    policy = os.SCHED_IDLE if shared else os.SCHED_BATCH  # whose waking interrupts nobody
    for task in _tasks(name):
        with contextlib.suppress(OSError):
            # A thread may have ended since it was listed.
            os.sched_setscheduler(task, policy, os.sched_param(0))
            if not shared:
                os.setpriority(os.PRIO_PROCESS, task, nice)
    with contextlib.suppress(OSError):
        _session_share(name, nice)


def step_forward(pid: int) -> None:
    """Give a process that is to end an ordinary claim, as far as this user may."""
    if not hasattr(os, "SCHED_IDLE"):
        return
    for task in _tasks(str(pid)):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(task, os.SCHED_OTHER, os.sched_param(0))
            os.setpriority(os.PRIO_PROCESS, task, 0)
    with contextlib.suppress(OSError):
        _session_share(str(pid), 0)


def _tasks(pid: str) -> list[int]:
    """Return a process's threads; Linux keeps class and nice value by thread."""
    with contextlib.suppress(OSError):
        return [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
    return []


def _session_share(pid: str, nice: int) -> None:
    """Set the share of a process's session, if it leads one: another's session is not ours to slow."""
    # The share belongs to the whole session: in another's, the user's own shell would be slowed.
    number = os.getpid() if pid == "self" else int(pid)
    if os.getsid(number) != number:
        return
    with Path(f"/proc/{pid}/autogroup").open("r+") as group:  # never created where it is not there
        group.write(str(nice))
