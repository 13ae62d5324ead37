"""How much memory a lane may have: what was given, or less where the container allows no more.

A container that runs out has one of its processes killed by the kernel, and that could be the
champion's. So lanes share what the champion leaves, and the kernel is told to take them first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from shadowserve.host import clock
from shadowserve.settings.spellings import size_text

RESERVE = 0.1
"""Share of the container's memory that neither champion nor lanes are to use."""
LEAST_BYTES = 2**26
"""A lane is not held to less: it could not even import."""
TAKEN_FIRST = 800
"""A lane's `oom_score_adj`: of 1,000, how much more willingly the kernel ends it."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """The memory of each lane.

    Parameters
    ----------
    given : int
        Bytes that `--lane-memory` allows.
    lanes : callable
        How many share what the champion leaves, by now.
    champions : callable
        Process ids of the champion's workers.
    limit : callable
        Bytes that the container allows, None where it does not limit.
    """

    given: int
    lanes: Callable[[], int]
    champions: Callable[[], Iterable[int]]
    limit: Callable[[], int | None] = clock.memory_limit_bytes

    def bytes(self) -> int:
        """Return what each lane may have now; once the champion is loaded it is known what that takes."""
        limit = self.limit()
        if limit is None:
            return self.given
        # Measured now and not declared: what a model takes is known only once it is loaded.
        used = sum(clock.own_bytes(pid) or 0 for pid in self.champions())
        left = (limit * (1 - RESERVE) - used) / max(1, self.lanes())
        # Below the least a lane would be killed at import, again and again, and never say why.
        return max(LEAST_BYTES, min(self.given, int(left)))

    def told(self, allowed: int) -> str:
        """Say what was exceeded, and what to do about it."""
        limit = self.limit()
        if limit is None or allowed >= self.given:
            return f"it took more than the {size_text(allowed)} that --lane-memory allows; raise it"
        return (
            f"it took more than {size_text(allowed)}, its share of the {size_text(limit)} that the "
            "container allows; give the container more, or serve fewer versions"
        )


def offer_first() -> None:
    """Let the kernel end the calling process before others where memory runs out (Linux)."""
    try:
        Path("/proc/self/oom_score_adj").write_text(str(TAKEN_FIRST))
    except OSError:
        return


def kernel_kills(root: Path = Path("/")) -> int:
    """Return how often the kernel has ended a process for want of memory; 0 where it does not say.

    In this process's control group where that counts them, else on the whole machine.
    """
    counted = clock.group_kills(root)
    if counted is not None:
        return counted
    try:
        lines = (root / "proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
