"""Processes of somebody else's that never sleep, on one CPU; the kernel ends them with the test's process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from shadowserve.host.leash import tie_to_parent

SPIN = "while True: pass"


@contextmanager
def strangers(n: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Keep so many busy, each in a session of its own, on the first CPU that this process may use."""
    cpu = {min(os.sched_getaffinity(0))}

    def settle() -> None:
        tie_to_parent()
        os.sched_setaffinity(0, cpu)

    found = [
        subprocess.Popen([sys.executable, "-c", SPIN], start_new_session=True, preexec_fn=settle)
        for _ in range(n)
    ]
    try:
        yield found
    finally:
        for one in found:
            one.kill()
            one.wait()
