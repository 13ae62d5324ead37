"""Sockets that are files: bound and connected to by paths of any length, readable by their owner alone.

The kernel takes 108 bytes of a path at most, and state directories may lie deeper. On Linux a directory that is
open has a short name of its own.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MOST_BYTES = 100
"""Of a path that is used as it is; the kernels differ in the last few."""
_DESCRIPTORS = Path("/proc/self/fd")
_WAITING = 16


def listen(path: Path) -> socket.socket:
    """Bind a socket to a path and listen, without blocking; what lies there is of a dead process, and goes.

    Raises
    ------
    OSError
        If the directory takes no socket, or its path is too long for this system.
    """
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(path) as address:
            made.bind(address)
        # Nobody can connect before it listens, so nobody has by the time it is its owner's alone.
        path.chmod(0o600)
        made.listen(_WAITING)
        made.setblocking(False)
    except BaseException:
        made.close()
        raise
    return made


def connect(path: Path, *, timeout_s: float) -> socket.socket:
    """Connect to what listens at a path.

    Raises
    ------
    OSError
        If nothing does.
    """
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.settimeout(timeout_s)
        with _short(path) as address:
            made.connect(address)
    except BaseException:
        made.close()
        raise
    return made


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """Yield a name of the path that is short enough, for the length of a block."""
    if len(os.fsencode(path)) <= MOST_BYTES:
        yield str(path)
        return
    if not _DESCRIPTORS.is_dir():
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), str(path))
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"{_DESCRIPTORS}/{directory}/{path.name}"
    finally:
        os.close(directory)
