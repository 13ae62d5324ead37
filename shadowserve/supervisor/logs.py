"""A bound on what the processes' talk takes of the disk.

A champion that fails on every request says so each time, and anybody can send what is no HTTP. Each log
has its size; what came before lies beside it once more, and what came before that is gone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

MOST_BYTES = 16 * 2**20


def bound(directory: Path, *, most: int = MOST_BYTES) -> None:
    """Copy each log that has grown beyond a size to ``….log.1``, and empty it.

    Processes append, so that they go on at its new end. What one says in between is lost. On a full disk
    nothing is kept: room comes first.

    Parameters
    ----------
    directory : Path
    most : int
        Bytes.
    """
    for log in directory.glob("*.log"):
        if log.stat().st_size > most:
            earlier = log.with_name(f"{log.name}.1")
            with contextlib.suppress(OSError):
                os.close(os.open(earlier, os.O_CREAT | os.O_WRONLY, 0o600))
                shutil.copyfile(log, earlier)
            os.truncate(log, 0)
