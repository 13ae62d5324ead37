"""The placement of processes: a core for each champion worker, the others for lanes, one thread count for all.

A core of its own comes before priority. Beside two busy processes of the lowest class the
champion's p99 rises by half; it does not rise when those run elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from shadowserve.host import clock

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "BLIS_NUM_THREADS",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Placement:
    """The CPUs of the champion's workers and of the lanes, and the threads of each process.

    Parameters
    ----------
    workers : tuple of int
        One CPU for each worker; empty where there are not enough to give each its own.
    lanes : frozenset of int or None
        What lanes are confined to; None where they are not.
    threads : int
        OpenMP and BLAS threads in every role, so that equal rows give equal results.
    one_at_a_time : bool
        Whether lanes score one at a time, since there are fewer CPUs for them than lanes. Two at
        once would slow, and mistime, each other.
    others : frozenset of int
        CPUs of other deployments' champions on this host.
    """

    workers: tuple[int, ...]
    lanes: frozenset[int] | None
    threads: int
    one_at_a_time: bool = False
    others: frozenset[int] = field(default=frozenset(), repr=False)

    @property
    def shares_core(self) -> bool:
        """Whether lanes may run on a core that a champion's worker has, of this deployment or another."""
        return self.lanes is None or bool(self.lanes & self.others)

    def worker(self, index: int) -> frozenset[int] | None:
        """Return the CPUs of one worker."""
        return frozenset({self.workers[index]}) if self.workers else None

    def environment(self) -> dict[str, str]:
        """Return the variables that fix the thread count."""
        return {
            **dict.fromkeys(_THREAD_VARIABLES, str(self.threads)),
            "LOKY_MAX_CPU_COUNT": str(self.threads),
        }

    def describe(self) -> str:
        """Say in a line what was chosen."""
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''} for BLAS and OpenMP in every role"
        low = "the lowest" if self.shares_core else "a low"
        priority = f"at {low} priority{', one at a time' if self.one_at_a_time else ''}"
        if self.others:
            priority += f"; CPU {_list(self.others)} left to other deployments"
        if not self.workers and self.lanes:
            return f"lanes on any CPU {priority}; {threads}"
        if not self.workers:
            return f"not pinned (too few CPUs, or not Linux); lanes run {priority}; {threads}"
        own, lanes = _list(self.workers), _list(self.lanes or ())
        return f"champion on CPU {own}, lanes on CPU {lanes} {priority}; {threads}"


def place(
    *,
    workers: int,
    lanes: int,
    cpus: Iterable[int] | None = None,
    busy: int | None = None,
    others: Iterable[int] = (),
    claim: Callable[[Sequence[int], int], Sequence[int]] = lambda cpus, n: cpus[:n],
) -> Placement:
    """Choose where workers and lanes run.

    Parameters
    ----------
    workers, lanes : int
        How many processes of each kind.
    cpus : iterable of int, optional
        The CPUs to share; those this process may use where not given.
    busy : int, optional
        How many of them may be busy at once: a container's quota is often less than what it sees.
        What this process's control groups allow where neither is given.
    others : iterable of int
        CPUs that other deployments' champions have.
    claim : callable
        Takes CPUs in the order of preference and returns up to so many that could be had.

    Examples
    --------
    >>> place(workers=1, lanes=2, cpus=[0, 1])
    Placement(workers=(0,), lanes=frozenset({1}), threads=1, one_at_a_time=True)
    >>> place(workers=2, lanes=2, cpus=[0, 1]).workers
    ()
    >>> place(workers=1, lanes=1, cpus=range(8), busy=2).threads
    1
    """
    if cpus is None:
        cpus, busy = _allowed(), busy or clock.cpu_count()
    allowed = sorted(cpus)
    # A container may see eight cores and be stopped once it has used two.
    usable = min(len(allowed), busy or len(allowed))
    # The same number in all roles, or a sum in another order would pass for a disagreement.
    threads = max(1, usable // (workers + max(lanes, 1)))
    one_at_a_time = lanes > 1 and lanes > usable - workers
    # A core for each worker would leave none for the lanes, which would then starve.
    if len(allowed) <= workers or not hasattr(os, "sched_setaffinity"):
        return Placement(workers=(), lanes=None, threads=threads, one_at_a_time=one_at_a_time)
    taken = frozenset(others) & frozenset(allowed)
    own = tuple(claim([cpu for cpu in allowed if cpu not in taken], workers))
    if len(own) < workers:  # the other deployments have them: any is as good
        return Placement(
            workers=(), lanes=None, threads=threads, one_at_a_time=one_at_a_time, others=taken
        )
    left = frozenset(allowed) - frozenset(own)
    return Placement(
        workers=own,
        # Other champions' cores are spared, unless none would be left for the lanes.
        lanes=left - taken or left,
        threads=threads,
        one_at_a_time=one_at_a_time,
        others=taken,
    )


def _list(cpus: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(cpus)))


def _allowed() -> Iterable[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return range(os.cpu_count() or 1)
