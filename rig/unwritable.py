"""A copy of a state directory that this process may read and not write."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65_534


def digests(folder: Path) -> dict[str, str]:
    """What each file below a folder holds."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@contextmanager
def unwritable(folder: Path) -> Iterator[Path]:
    """Yield a copy without rights to write; whoever is root is nobody for the length of the block."""
    outer = Path(tempfile.mkdtemp(prefix="shadowserve-tests-"))
    copy = outer / folder.name
    shutil.copytree(folder, copy)
    is_root = os.geteuid() == 0
    for path in (outer, copy, *copy.rglob("*")):
        path.chmod(0o500 if path.is_dir() else 0o400)
        if is_root:
            os.chown(path, NOBODY, NOBODY)
    try:
        if is_root:
            os.seteuid(NOBODY)
        yield copy
    finally:
        if is_root:
            os.seteuid(0)
        for path in (outer, *(p for p in copy.rglob("*") if p.is_dir()), copy):
            path.chmod(0o700)
        shutil.rmtree(outer)
