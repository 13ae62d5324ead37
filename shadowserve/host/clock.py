"""The kernel's figures on a process: its wait for a core, its memory, its cores.

On busy machines a thread spends most of its wall time runnable but not running. Linux counts that per
thread, and lanes take it out of their times and deadlines. Elsewhere the answer is None, and the report
says so.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/")
_UNLIMITED_BYTES = 2**60
"""Control groups of version 1 write "no limit" as a number near 2**63."""


class Starvation:
    """One thread's time runnable but not running, read many times through one open file.

    Parameters
    ----------
    pid : int, optional
        The process; this one if not given.
    tid : int, optional
        The kernel's number of the thread; if not given the calling thread, or the main thread of
        another process.

    Notes
    -----
    Linux adds a wait when it ends: a thread that waits right now is seen only up to its last run.
    """

    def __init__(self, pid: int | None = None, tid: int | None = None) -> None:
        try:
            self._descriptor = os.open(_schedstat(pid, tid), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._descriptor = -1

    def delay_ns(self) -> int | None:
        """Nanoseconds waited since the thread began; None once it ended, or if not counted."""
        if self._descriptor < 0:
            return None
        try:
            return _delay_of(os.pread(self._descriptor, 128, 0))
        except OSError:
            return None

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Starvation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def run_delay_ns(pid: int | None = None, tid: int | None = None) -> int | None:
    """Return how long a thread has been runnable but not running, since it began.

    Parameters
    ----------
    pid, tid : int, optional
        As for `Starvation`, which is cheaper for many readings of one thread.

    Returns
    -------
    int or None
        Nanoseconds; None where the thread is gone or the system does not count (macOS).
    """
    with Starvation(pid, tid) as starvation:
        return starvation.delay_ns()


def supported() -> bool:
    """Tell whether this system counts run delay, so that starvation can be taken out of times."""
    return run_delay_ns() is not None


def _schedstat(pid: int | None, tid: int | None) -> str:
    own = threading.get_native_id() if pid is None or pid == os.getpid() else pid
    return f"/proc/{'self' if pid is None else pid}/task/{own if tid is None else tid}/schedstat"


def _delay_of(line: bytes) -> int | None:
    """Second of: time on the processor, time waiting for it, number of turns.

    A running thread has had a turn; where it has none, the kernel does not count.
    """
    parts = line.split()
    if len(parts) < 3 or parts[2] == b"0":
        return None
    return int(parts[1])


def rss_bytes(pid: int | None = None) -> int | None:
    """Return a process's resident memory.

    Parameters
    ----------
    pid : int, optional
        This process if not given.

    Returns
    -------
    int or None
        Bytes, pages shared with other processes included; None if there is no such process.
    """
    known = os.getpid() if pid is None else pid
    try:
        with open(f"/proc/{known}/statm", "rb") as file:  # noqa: PTH123 - asked ten times a second
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        # With /proc there, the process is gone; without it, this is no Linux.
        return None if Path("/proc/self/statm").exists() else _rss_by_ps(known)


def own_bytes(pid: int | None = None) -> int | None:
    """Return the memory that is a process's own: in use or swapped out, without files that it maps.

    A mapped file's pages are the system's to drop at any time, however many of them are resident.

    Returns
    -------
    int or None
        As `rss_bytes` does: bytes, memory that it shares with others included. Resident memory
        where the system does not tell them apart; None if there is no such process.
    """
    known = os.getpid() if pid is None else pid
    try:
        with open(f"/proc/{known}/status", "rb") as file:  # noqa: PTH123 - asked ten times a second
            lines = file.read().splitlines()
    except OSError:
        return rss_bytes(pid)
    # Kernels before 4.5 do not tell them apart.
    found = [line.split() for line in lines if line.startswith(_OWN)]
    return sum(int(parts[1]) for parts in found) * 1024 if found else rss_bytes(pid)


_OWN = (b"RssAnon:", b"RssShmem:", b"VmSwap:")


def _rss_by_ps(pid: int) -> int | None:
    """Ask `ps`, which answers in KiB on every Unix."""
    try:
        asked = subprocess.run(
            ("/bin/ps", "-o", "rss=", "-p", str(pid)), capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    text = asked.stdout.strip()
    return int(text) * 1024 if text.isdigit() else None


def cpu_count(root: Path = _ROOT) -> int:
    """Return how many cores this process may keep busy: the least of affinity and quota.

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``sys`` lie.

    Returns
    -------
    int
        At least 1. A control group's quota of 2.5 cores counts as 2, since the half one stalls.
    """
    affinity = hasattr(os, "sched_getaffinity")
    cores = [len(os.sched_getaffinity(0)) if affinity else os.cpu_count() or 1]
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        for text in _group_files(root, "cpu", *names):
            # "max" of version 2 and -1 of version 1 mean that there is no quota: neither is digits.
            quota, period = text.split()
            if quota.isdigit():
                cores.append(int(quota) // int(period))
    return max(1, min(cores))


def memory_limit_bytes(root: Path = _ROOT) -> int | None:
    """Return the least memory limit of the control groups around this process, found below `root`.

    Returns
    -------
    int or None
        Bytes; None where no control group limits it.
    """
    texts = _memory_texts(root, "memory.max", "memory.limit_in_bytes")
    limits = [int(text) for text in texts if text.isdigit() and int(text) < _UNLIMITED_BYTES]
    return min(limits, default=None)


def available_bytes(root: Path = _ROOT) -> int | None:
    """Return how much memory a new process may take before others have to give some up.

    Returns
    -------
    int or None
        The least of what the machine and the control groups have left; None where the system does not say.
    """
    lines = _read(root / "proc/meminfo").splitlines()
    found = [int(one.split()[1]) * 1024 for one in lines if one.startswith("MemAvailable:")]
    for names in (
        ("memory.max", "memory.current"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        for text in _group_files(root, "memory", *names):
            limit, used = text.split()
            if limit.isdigit() and int(limit) < _UNLIMITED_BYTES:
                found.append(max(0, int(limit) - int(used)))
    return min(found, default=None)


def group_kills(root: Path = _ROOT) -> int | None:
    """Return how often the kernel has ended a process of this one's control group for want of memory.

    Returns
    -------
    int or None
        None where the group does not count.
    """
    texts = _memory_texts(root, "memory.events", "memory.oom_control")
    for text in texts[:1]:  # the group's own; those around it count for others too
        lines = (line.split() for line in text.splitlines())
        return next((int(line[1]) for line in lines if line[:1] == ["oom_kill"]), None)
    return None


def _memory_texts(root: Path, second: str, first: str) -> list[str]:
    """Return what groups of either version say of memory, in files of these two names."""
    return [text for name in (second, first) for text in _group_files(root, "memory", name)]


def _group_files(root: Path, controller: str, *names: str) -> Iterator[str]:
    """Yield the files' texts, joined by a space, of this process's group and all around it.

    A line of ``/proc/self/cgroup`` reads ``<number>:<controllers>:<path>``; version 2 names none.
    Inside a container the path may be the host's, so what does not exist is passed over.
    """
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        group = Path(path.lstrip("/"))
        # A limit of any group around it limits the process as well.
        for around in (group, *group.parents) if group.parts else (group,):
            found = [_read(root / "sys/fs/cgroup" / controllers / around / name) for name in names]
            if all(found):
                yield " ".join(found)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
