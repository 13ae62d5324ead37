"""Starving: a process that loads and is left hardly any CPU, told to who waits for it.

Checking and loading have a small claim on the lanes' CPUs. Beside busy strangers a version that loads in four
seconds takes minutes, and nothing is wrong with it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from shadowserve.host.clock import run_delay_ns
from shadowserve.supervisor.child import Child

FIRST_S = 10.0
"""After which it is told first; each further time after twice as long."""
SHARE = 0.5
"""Of its life that a process has waited for a CPU."""


@dataclass(slots=True)
class Starving:
    """Looks at one process after another, as they load for one visitor."""

    _pid: int = 0
    _next_s: float = FIRST_S

    def look(self, child: Child) -> str | None:
        """Return what is to be told of a process that starves, and None where nothing is."""
        if child.pid != self._pid:
            self._pid, self._next_s = child.pid, FIRST_S
        lived_s = (time.monotonic_ns() - child.started_ns) / 1e9
        if not child.running or lived_s < self._next_s:
            return None
        waited_s = (run_delay_ns(child.pid) or 0) / 1e9
        if waited_s < SHARE * lived_s:
            return None
        self._next_s = 2 * lived_s
        return (
            f"{child.name} has waited {waited_s:.0f} of {lived_s:.0f} s for a CPU: others keep those of the lanes "
            "busy. It goes on. Where that lasts, 'serve --lane-priority normal' claims more."
        )
