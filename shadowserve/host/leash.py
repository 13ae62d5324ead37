"""The leash of a child process: the kernel, or else a thread of its own, ends it when its parent dies.

BentoML's workers go on answering after their parent was killed. On Linux each child asks the kernel
for SIGKILL at its parent's death; elsewhere a child looks for its parent now and then.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1
# Loaded beforehand: between fork and exec it is no longer safe to load anything.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
SUPPORTED = _LIBC is not None


def tie_to_parent() -> None:
    """Ask the kernel to end this process with its parent; called in the child before it runs."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def watch_parent(parent: int, *, every_s: float = 1.0) -> None:
    """Where the kernel cannot be asked, end this process soon after its parent's death."""
    if SUPPORTED:
        if os.getppid() != parent:  # it died before the kernel was asked
            os._exit(1)
        return

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(every_s)
        os._exit(1)

    threading.Thread(target=look, name="parent-watch", daemon=True).start()
