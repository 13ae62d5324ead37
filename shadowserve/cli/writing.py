"""What a command leaves in files: each is whole or not there, and `-` is stdout."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from shadowserve.errors import SettingsError, UnreachableError
from shadowserve.legible import legible

STDOUT = "-"


def write(target: str, text: str) -> None:
    """Write a text to a file, which is replaced in one step; to stdout for ``-``.

    A link is followed, so that what it leads to is replaced. A pipe or a device is written to as it is.

    Parameters
    ----------
    target : str
        As the user gave it.
    text : str

    Raises
    ------
    SettingsError
        If it is a directory, or lies in none.
    UnreachableError
        If it cannot be written; what was there stays.
    """
    if target == STDOUT:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    path = Path(os.path.realpath(target))
    shown = legible(target)
    if path.is_dir():
        raise SettingsError(f"{shown} is a directory. Name a file in it, or write - for stdout.")
    if not path.parent.is_dir():
        raise SettingsError(
            f"{shown} cannot be written: there is no directory {legible(path.parent)}. Make it first."
        )
    try:
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            path.write_text(text, encoding="utf-8")
        else:
            _replace(path, text)
    except OSError as error:
        raise UnreachableError(
            f"{shown} cannot be written ({error.strerror or type(error).__name__}). Name another file, or write - for "
            "stdout."
        ) from error


def _replace(path: Path, text: str) -> None:
    # Beside it, since only within one file system a file takes another's place in one step.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".shadowserve-")
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(_mode_of(path))
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


def _mode_of(path: Path) -> int:
    """Return the rights of the file that is replaced; of a new one what the user's umask leaves."""
    if path.exists():
        return stat.S_IMODE(path.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
