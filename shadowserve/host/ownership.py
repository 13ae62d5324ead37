"""The ownership check of a state directory: nobody else may plant files or links where we write."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from shadowserve.errors import JournalError

OWN = ("journal", "models", "logs", "counters", "loaded", "lanes", "run", "archive")
"""Directories below it that are made here."""
_ELSE = (
    "or give --state-dir a directory that is not there yet, which is then made for this user alone."
)


def refuse_foreign(root: Path) -> None:
    """Refuse a state directory into which another user could write.

    Parameters
    ----------
    root : Path
        As the user gave it, links not followed; it need not exist.

    Raises
    ------
    JournalError
        If it, or a directory of ours in it, is a link, no directory, another user's, or writable by
        others.
    """
    for place in (root, *(root / name for name in OWN)):
        try:
            found = place.lstat()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise JournalError(
                f"The state directory {root} cannot be looked at ({error.strerror}). Mend its rights, "
                + _ELSE
            ) from error
        if (why := _why_not(found)) is not None:
            raise JournalError(f"The state directory's {place} {why}, {_ELSE}")


def _why_not(found: os.stat_result) -> str | None:
    """Return a directory's fault and its remedy; None if it has none."""
    if stat.S_ISLNK(found.st_mode):
        return "is a symbolic link. Name the directory that it leads to"
    if not stat.S_ISDIR(found.st_mode):
        return "is no directory. Move it away"
    if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
        return (
            "belongs to another user, who could change what is written there. Make it this user's"
        )
    # Who may write to a directory may replace its files by links to elsewhere.
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        mode = stat.S_IMODE(found.st_mode)
        return f"can be written by others (mode {mode:04o}). Run chmod go-w on it"
    return None
