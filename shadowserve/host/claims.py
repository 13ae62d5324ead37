"""Claims on CPUs: deployments on one host put no two champions on one core.

A claim is a socket of Linux's abstract names. The kernel gives each name once and takes it back
when its holder dies; no file can stay behind. Containers with a network of their own do not see
each other's claims; there, the container's own CPUs separate them.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

PREFIX = "shadowserve-champion-cpu-"
_TABLE = Path("/proc/net/unix")


@dataclass(slots=True)
class Claims:
    """The CPUs that one deployment's champion holds, for as long as this object lives."""

    _held: dict[int, socket.socket] = field(default_factory=dict)

    def take(self, cpus: Iterable[int], *, n: int) -> tuple[int, ...]:
        """Claim up to `n` of some CPUs, in their order, and return those that nobody else has."""
        for cpu in cpus:
            if len(self._held) == n:
                break
            self._try(cpu)
        return tuple(self._held)

    def close(self) -> None:
        """Give all of them back."""
        for one in self._held.values():
            one.close()
        self._held.clear()

    def _try(self, cpu: int) -> None:
        if sys.platform != "linux":
            return
        one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)  # not inherited by any child
        try:
            # A leading zero byte makes the name abstract: no file comes of it.
            one.bind(f"\0{PREFIX}{cpu}")
        except OSError:
            one.close()
        else:
            self._held[cpu] = one


def taken(table: Path = _TABLE) -> frozenset[int]:
    """Return the CPUs that some deployment's champion has, this one's included; none where it cannot be known."""
    try:
        lines = table.read_text(errors="replace").splitlines()
    except OSError:
        return frozenset()
    names = [line.rpartition("@")[2] for line in lines if f"@{PREFIX}" in line]
    return frozenset(int(n.removeprefix(PREFIX)) for n in names if n.removeprefix(PREFIX).isdigit())
