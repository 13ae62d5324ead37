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
from enum import StrEnum
from pathlib import Path

VARIABLE = "SHADOWSERVE_BACKGROUND"
"""In which the supervisor tells a background process its `Priority`."""


class Priority(StrEnum):
    """How much of a CPU a background process claims once it has loaded, beside others that want it."""

    IDLE = "idle"
    """What nobody else wants: it takes nothing from a champion on its core, and starves beside strangers."""

    LOW = "low"
    """A tenth of an ordinary claim: certain beside busy strangers, too much beside a champion."""

    NORMAL = "normal"
    """An ordinary claim, for lanes that must keep up on a host that is busy anyway."""

    @property
    def loading_nice(self) -> int:
        """Nice value while a version loads: a tenth, a third, or all of an ordinary claim."""
        return {Priority.IDLE: 10, Priority.LOW: 5, Priority.NORMAL: 0}[self]

    @property
    def working_nice(self) -> int:
        """Nice value once it has loaded."""
        return {Priority.IDLE: 19, Priority.LOW: 10, Priority.NORMAL: 0}[self]

    @property
    def scheduling_class(self) -> int:
        """Linux's class once it has loaded; the waking of a batch process interrupts nobody."""
        return os.SCHED_IDLE if self is Priority.IDLE else os.SCHED_BATCH

    def describe(self) -> str:
        """Say it in a sentence of the start."""
        return {"idle": "the lowest", "low": "a low", "normal": "an ordinary"}[self.value]


def told(environ: Mapping[str, str]) -> Priority:
    """Return what the supervisor told a process; low where it told nothing."""
    return Priority(environ.get(VARIABLE, Priority.LOW))


def step_back(priority: Priority) -> None:
    """Give the calling process, which is about to load, a small claim: itself and its session.

    Most distributions group tasks by session (autogroup), and there a class or a nice value counts
    within the session only. A lane would get as much of a CPU as the champion.
    """
    os.nice(priority.loading_nice)
    with contextlib.suppress(OSError):
        _session_share("self", priority.loading_nice)


def load(environ: Mapping[str, str] = os.environ) -> None:
    """Give the calling process, a child of one that has settled, the claim of one that loads, as far as may be.

    A class is inherited: what a lane starts later would never load beside busy strangers. Without the right
    to raise a priority (CAP_SYS_NICE on Linux) it stays as it is. A session is not: where the process leads
    one, that has an ordinary claim until now.
    """
    nice = told(environ).loading_nice
    with contextlib.suppress(OSError):
        if hasattr(os, "SCHED_IDLE"):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, 0, nice)
    with contextlib.suppress(OSError):
        _session_share("self", nice)


def settle(environ: Mapping[str, str] = os.environ, *, pid: int = 0) -> None:
    """Let a process that has loaded run at its working claim, all its threads and its session.

    Parameters
    ----------
    environ : mapping
        Says with which priority.
    pid : int
        The calling process if 0.
    """
    priority = told(environ)
    nice = priority.working_nice
    name = str(pid or os.getpid())
    if not hasattr(os, "SCHED_IDLE"):
        os.setpriority(os.PRIO_PROCESS, pid, max(nice, os.getpriority(os.PRIO_PROCESS, pid)))
        return
    for task in _tasks(name):
        with contextlib.suppress(OSError):
            # A thread may have ended since it was listed.
            os.sched_setscheduler(task, priority.scheduling_class, os.sched_param(0))
            if priority is not Priority.IDLE:
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
