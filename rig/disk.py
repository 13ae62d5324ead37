"""A file system of its own for a state directory, small enough to be filled and emptied at will."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

_LEFT_AFTER = 50


class SmallDisk:
    """A file system in memory.

    Parameters
    ----------
    path : Path
        Where it is mounted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self) -> None:
        """Take all that is free, to the last page."""
        with self._filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"x" * 2**20):
                pass
        with self._filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"x" * 4096):
                pass

    def empty(self) -> None:
        """Give it back."""
        self._filler.unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(path: Path, *, mib: int) -> Iterator[SmallDisk | None]:
    """Mount a disk of some MiB for the length of a block; None where this user may not mount one."""
    path.mkdir(parents=True, exist_ok=True)
    options = ("-t", "tmpfs", "-o", f"size={mib}m", "tmpfs")
    if not _ran("mount", *options, str(path)):
        yield None
        return
    try:
        yield SmallDisk(path)
    finally:
        for _ in range(_LEFT_AFTER):
            if _ran("umount", str(path)):
                break
            time.sleep(0.1)


def _ran(*command: str) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return not subprocess.run(command, capture_output=True, check=False).returncode
    return False
