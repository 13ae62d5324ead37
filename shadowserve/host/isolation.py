"""A lane without a network: a namespace of its own in which no interface is up (Linux).

Where the user may not make one, a user namespace of its own is made with it. Inside that the user
is the same, so files stay readable.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def cut_network() -> None:
    """Take this process off the network, its loopback included; for a child before it runs.

    Raises
    ------
    OSError
        If the system does not permit it.
    """
    if _LIBC is None:
        raise OSError("network namespaces are Linux's")
    if _LIBC.unshare(_CLONE_NEWNET) == 0:
        return
    user, group = os.getuid(), os.getgid()
    if _LIBC.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    own = Path("/proc/self")
    # The kernel takes an ordinary user's gid_map only once this is denied.
    (own / "setgroups").write_text("deny")
    (own / "uid_map").write_text(f"{user} {user} 1")
    (own / "gid_map").write_text(f"{group} {group} 1")


def why_not() -> str | None:
    """Return what keeps a child from being taken off the network; None if nothing does."""
    if not hasattr(os, "fork"):
        return "only Linux can"
    # Tried by a child, since a process that has left the network cannot come back.
    child = os.fork()
    if child == 0:
        try:
            cut_network()
        except BaseException as error:
            os._exit(getattr(error, "errno", None) or 255)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == 0:
        return None
    return os.strerror(code) if 0 < code < 255 else "only Linux can"
