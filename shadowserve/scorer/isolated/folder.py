"""The folder by which an environment finds this package: a link to it, and nothing else beside it."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from pathlib import Path

ENTRY = Path("scorer", "isolated", "entry.py")
_PACKAGE = Path(__file__).resolve().parents[2]


def folder_in(cache: Path) -> Path:
    """Return the folder, made if it is not there; the environment's own packages stay as they are.

    Beside this package lie all that it is installed with, which must not get in front of the environment's.
    """
    name = hashlib.sha256(str(_PACKAGE).encode()).hexdigest()[:16]
    folder = cache / "path" / name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    link = folder / _PACKAGE.name
    if not link.exists():
        draft = folder / f".{secrets.token_hex(4)}"
        draft.symlink_to(_PACKAGE, target_is_directory=True)
        with contextlib.suppress(OSError):
            draft.replace(link)
        draft.unlink(missing_ok=True)
    return folder
