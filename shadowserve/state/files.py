"""Files that processes share: small ones replaced whole, and mapped ones that outlive their writer's death."""

from __future__ import annotations

import mmap
import os
import threading
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Replace a small file in one step, readable by its owner only."""
    # By process and thread, so that two writers do not share a draft.
    draft = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_native_id()}")
    descriptor = _new(draft)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        draft.replace(path)
    except OSError:  # a full disk: what lay there stays, and nothing is left beside it
        draft.unlink(missing_ok=True)
        raise


def _new(path: Path) -> int:
    """Open a file that is not there yet; what lies there, a link that somebody planted, is put aside."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW
    try:
        return os.open(path, flags, 0o600)
    except FileExistsError:
        path.unlink()
        return os.open(path, flags, 0o600)


def reserved(path: Path, size: int) -> int:
    """Open a file that will be mapped, made if missing, with room for all of it; return its descriptor.

    Raises
    ------
    OSError
        If there is no room: a hole met later, on a full disk, would be fatal.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
        # Elsewhere than on Linux a hole is all that can be had.
        elif os.fstat(descriptor).st_size < size:
            os.ftruncate(descriptor, size)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def mapped(path: Path, size: int) -> mmap.mmap:
    """Map a file, made if missing; what lies in it holds.

    Raises
    ------
    OSError
        As `reserved`.
    """
    descriptor = reserved(path, size)
    try:
        return mmap.mmap(descriptor, size)
    finally:
        os.close(descriptor)


def bytes_of(path: Path) -> bytes:
    """Return what a file holds; nothing where it is missing."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
