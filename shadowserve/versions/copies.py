"""A process's own copy of a version's files: what a model writes beside them reaches no other process.

Models keep a lock, a cache or a database beside their own files. In shared files, that would change
another process's model under its hands. What was downloaded would no longer be what the registry
says.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import shutil
from pathlib import Path

from shadowserve.versions.version import model_files

LARGE_BYTES = 2**30
"""Beyond this a file that the file system cannot share block by block is linked to, not copied."""

_CLONE = 0x40049409  # Linux's FICLONE: shares blocks until one of the two is written to
_log = logging.getLogger(__name__)


def own(path: Path, folder: Path) -> Path:
    """Copy a version's files; return where they are.

    Parameters
    ----------
    path : Path
        The downloaded files, which stay as they are.
    folder : Path
        Replaced whole, as an earlier process of this name has no more use for it.

    Returns
    -------
    Path
        `folder`; or `path`, where there is no room for a copy.
    """
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(mode=0o700, parents=True)
        for file in model_files(path):
            target = folder / file.relative_to(path)
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _bring(file, target)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        told = error.strerror or type(error).__name__
        _log.warning("no copy of the model's files (%s): this process uses the shared ones", told)
        return path
    return folder


def _bring(file: Path, target: Path) -> None:
    if not _cloned(file, target):
        if file.stat().st_size > LARGE_BYTES:
            target.symlink_to(file.resolve())
            return
        shutil.copyfile(file, target)
    target.chmod(0o600)


def _cloned(file: Path, target: Path) -> bool:
    """Share the blocks where the file system can; True if it could."""
    with file.open("rb") as source, target.open("wb") as made, contextlib.suppress(OSError):
        fcntl.ioctl(made.fileno(), _CLONE, source.fileno())
        return True
    with contextlib.suppress(OSError):
        target.unlink()
    return False
