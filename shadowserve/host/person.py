"""The person at the command line, as the system knows them."""

from __future__ import annotations

import getpass
import os
import socket


def person() -> str:
    """Return the user and the machine, such as ``ann@laptop``; a number where the user has no name."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user that no file lists
        name = f"uid {os.getuid()}" if hasattr(os, "getuid") else "somebody"
    return f"{name}@{socket.gethostname()}"
