"""What is dear to make and changed by nobody is made once a run, for all processes of the run."""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

PLACE = "RIG_MADE_ONCE"


def place() -> Path:
    """Return the run's own folder; whoever asks first makes it, and removes it at its end.

    Processes that are started afterwards find it in their environment.
    """
    if PLACE not in os.environ:
        folder = tempfile.TemporaryDirectory(prefix="shadowserve-once-", ignore_cleanup_errors=True)
        atexit.register(folder.cleanup)
        os.environ[PLACE] = folder.name
    return Path(os.environ[PLACE])


def once(name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that is filled by whoever asks for it first; the others wait for that.

    Parameters
    ----------
    name : str
        What is in it.
    make : callable
        Fills an empty folder. Where it fails, the next to ask tries anew.
    """
    folder = place() / name
    made = folder.with_suffix(".made")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            made.touch()
    return folder
