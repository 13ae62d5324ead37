"""Ended processes that nobody else waits for: as process 1 of a container, the supervisor inherits them.

A lane that is killed leaves what its model had started to process 1. Unless that one asks for how they
ended, they stay in the process table as zombies until it is full.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from pathlib import Path

_TASKS = Path("/proc/self/task")


class Reaper:
    """Looks for ended children that are not the supervisor's own (Linux)."""

    def __init__(self) -> None:
        self._seen: frozenset[int] = frozenset()

    def look(self, own: Collection[int]) -> int:
        """Reap what had ended at the last look already; return how many that were.

        Parameters
        ----------
        own : collection of int
            Processes whose end somebody here waits for. One that was just started may not be among them
            yet, so nothing is reaped at first sight.
        """
        ended = frozenset(pid for pid in _children() if pid not in own and _is_zombie(pid))
        reaped = 0
        # Seen ended twice: Popen has had a turn in between to ask for the exit code of its own.
        for pid in ended & self._seen:
            with contextlib.suppress(ChildProcessError):
                reaped += os.waitpid(pid, os.WNOHANG)[0] == pid
        self._seen = ended
        return reaped


def _children() -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):  # another system, or a thread that has just ended
        for task in _TASKS.iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except OSError:
        return False
