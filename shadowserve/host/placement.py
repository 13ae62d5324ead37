"""The placement of processes: a core for each champion worker, the others for lanes, one thread count for all.

A core of its own comes before priority. Beside two busy processes of the lowest class the
champion's p99 rises by half; it does not rise when those run elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from shadowserve.errors import SettingsError
from shadowserve.host import clock
from shadowserve.host.priority import Priority

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "BLIS_NUM_THREADS",
)  # fmt: skip


def one_thread() -> dict[str, str]:
    """Return the environment that keeps BLAS and OpenMP to one thread, as in every role."""
    return dict.fromkeys(_THREAD_VARIABLES, "1")


AUTO: Literal["auto"] = "auto"
OFF: Literal["off"] = "off"
Wanted = Literal["auto", "off"] | tuple[int, ...]
"""What the user may want of the placement."""


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
    within : frozenset of int or None
        What all processes are confined to, where the user named CPUs.
    pinned : bool
        False where the user wants no process to have a CPU of its own.
    spare : int
        How many CPUs may be busy beside the champion's workers.
    """

    workers: tuple[int, ...]
    lanes: frozenset[int] | None
    threads: int
    one_at_a_time: bool = False
    others: frozenset[int] = field(default=frozenset(), repr=False)
    within: frozenset[int] | None = field(default=None, repr=False)
    pinned: bool = field(default=True, repr=False)
    spare: int = field(default=0, repr=False)

    def is_crowded(self, lanes: int) -> bool:
        """Whether so many lanes are more than the CPUs that may be busy beside the champion's workers."""
        return lanes > 1 and lanes > self.spare

    @property
    def shares_core(self) -> bool:
        """Whether lanes may run on a core that a champion's worker has, of this deployment or another."""
        return self.lanes is None or bool(self.lanes & self.others)

    @property
    def usual_priority(self) -> Priority:
        """What lanes run at where the user names nothing: the champion is protected, strangers are not."""
        return Priority.IDLE if self.shares_core else Priority.LOW

    @property
    def background(self) -> frozenset[int] | None:
        """CPUs of the lanes, the evidence writer and the console; None for any."""
        return self.within if self.lanes is None else self.lanes

    @property
    def n_cpus(self) -> int:
        """How many CPUs lanes may use."""
        return len(self.background) if self.background is not None else clock.cpu_count() or 1

    def worker(self, index: int) -> frozenset[int] | None:
        """Return the CPUs of one worker; None for any."""
        return frozenset({self.workers[index]}) if self.workers else self.within

    def environment(self) -> dict[str, str]:
        """Return the variables that fix the thread count."""
        return {
            **dict.fromkeys(_THREAD_VARIABLES, str(self.threads)),
            "LOKY_MAX_CPU_COUNT": str(self.threads),
        }

    def describe(self, priority: Priority | None = None) -> str:
        """Say in a line what was chosen; `priority` is the lanes', by default the usual one."""
        priority = priority or self.usual_priority
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''} for BLAS and OpenMP in every role"
        words = (
            f"at {priority.describe()} priority{', one at a time' if self.one_at_a_time else ''}"
        )
        if self.shares_core and priority is not Priority.IDLE:
            words += " on a core that a champion has, so callers may wait for them"
        if self.others:
            words += f"; CPU {_list(self.others)} left to other deployments"
        if not self.workers and self.lanes:
            return f"lanes on CPU {_list(self.lanes)} {words}; {threads}"
        if not self.workers:
            confined = f", all on CPU {_list(self.within)}" if self.within else ""
            return f"not pinned ({self._why_not()}){confined}; lanes run {words}; {threads}"
        own, lanes = _list(self.workers), _list(self.lanes or ())
        return f"champion on CPU {own}, lanes on CPU {lanes} {words}; {threads}"

    def _why_not(self) -> str:
        return "as asked" if not self.pinned else "too few CPUs, or not Linux"


def place(
    *,
    workers: int,
    lanes: int,
    scoring: int | None = None,
    wanted: Wanted = AUTO,
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
    scoring : int, optional
        How many processes may score for the lanes, among which threads are shared; as many as lanes where
        not given, and 0 for as many as there are CPUs.
    wanted : "auto", "off" or tuple of int
        The user's word: a core for each champion worker, no core for anybody, or `auto` within some CPUs.
    cpus : iterable of int, optional
        The CPUs to share; those this process may use where not given.
    busy : int, optional
        How many of them may be busy at once: a container's quota is often less than what it sees.
        What this process's control groups allow where neither is given.
    others : iterable of int
        CPUs that other deployments' champions have.
    claim : callable
        Takes CPUs in the order of preference and returns up to so many that could be had.

    Raises
    ------
    SettingsError
        If a CPU is wanted that this process may not use.

    Examples
    --------
    >>> place(workers=1, lanes=2, cpus=[0, 1])
    Placement(workers=(0,), lanes=frozenset({1}), threads=1, one_at_a_time=True)
    >>> place(workers=2, lanes=2, cpus=[0, 1]).workers
    ()
    >>> place(workers=1, lanes=1, cpus=range(8), busy=2).threads
    1
    >>> place(workers=1, lanes=1, wanted=(4, 5, 6), cpus=range(8)).describe()
    'champion on CPU 4, lanes on CPU 5, 6 at a low priority; 1 thread for BLAS and OpenMP in every role'
    """
    if cpus is None:
        cpus, busy = _allowed(), busy or clock.cpu_count()
    allowed = sorted(cpus)
    named = wanted if isinstance(wanted, tuple) else None
    if named is not None:
        _refuse_foreign(named, allowed)
        allowed = sorted(set(named))
    # A container may see eight cores and be stopped once it has used two.
    usable = min(len(allowed), busy or len(allowed))
    # As many as there are CPUs leave one thread each.
    scoring = usable if scoring == 0 else max(scoring or lanes, 1)
    common = Placement(
        workers=(),
        lanes=None,
        # The same number in all roles, or a sum in another order would pass for a disagreement.
        threads=max(1, usable // (workers + scoring)),
        one_at_a_time=lanes > 1 and lanes > usable - workers,
        spare=usable - workers,
        within=None if named is None else frozenset(allowed),
        pinned=wanted != OFF,
    )
    # A core for each worker would leave none for the lanes, which would then starve.
    if wanted == OFF or len(allowed) <= workers or not hasattr(os, "sched_setaffinity"):
        return common
    taken = frozenset(others) & frozenset(allowed)
    own = tuple(claim([cpu for cpu in allowed if cpu not in taken], workers))
    if len(own) < workers:  # the other deployments have them: any is as good
        return replace(common, others=taken)
    left = frozenset(allowed) - frozenset(own)
    # Other champions' cores are spared, unless none would be left for the lanes.
    return replace(common, workers=own, lanes=left - taken or left, others=taken)


def _refuse_foreign(named: Iterable[int], allowed: Sequence[int]) -> None:
    if foreign := set(named) - set(allowed):
        raise SettingsError(
            f"--placement names CPU {_list(foreign)}, and this process may use {_list(allowed)}. "
            "Name some of these, or widen the container's cpuset."
        )


def _list(cpus: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(cpus)))


def _allowed() -> Iterable[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return range(os.cpu_count() or 1)
