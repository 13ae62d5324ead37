"""What the start of this process was made of: the stages behind it, each with the moment of its end."""

from __future__ import annotations

import os
import time

VARIABLE = "SHADOWSERVE_BEGAN_NS"
"""Variable that tells a process when it was begun, on the monotonic clock of the machine."""

MOST = 64

_reached: list[tuple[str, int]] = []
_began: list[int | None] = [None]


def begin(began_ns: int | None) -> None:
    """Forget earlier stages; the first one begins then, or at an unknown moment."""
    _reached.clear()
    _began[0] = began_ns


def reached(stage: str) -> None:
    """Note that a stage ends now; beyond `MOST`, nothing."""
    if len(_reached) < MOST:
        _reached.append((stage, time.monotonic_ns()))


def told() -> dict[str, object]:
    """Return what was noted: ``began_ns``, or None where nobody knows, and ``stages`` with their ends."""
    began_ns = _began[0]
    if began_ns is None and (text := os.environ.get(VARIABLE, "")).isdigit():
        began_ns = int(text)
    return {"began_ns": began_ns, "stages": [[stage, ended_ns] for stage, ended_ns in _reached]}


def own_beginning_ns() -> int | None:
    """Return when the system began this process, on the monotonic clock; None where it does not tell.

    The system counts in hundredths of a second.
    """
    try:
        with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            ticks = int(file.read().rpartition(")")[2].split()[19])
        since_boot_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    except (OSError, ValueError, IndexError, AttributeError):
        return None
    age_ns = since_boot_ns - ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    return time.monotonic_ns() - max(age_ns, 0)
