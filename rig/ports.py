"""Ports for servers that a test or benchmark starts."""

from __future__ import annotations

import itertools
import os
import socket

_FIRST, _MANY = 12_000, 20_000
_next = itertools.count(os.getpid() * 61)


def free_port() -> int:
    """Return a loopback port that nobody uses now.

    It lies below those that the kernel gives to connections, and is not returned twice in a row: a
    server that takes seconds to start still finds it free, also beside other test processes.
    """
    return next(port for n in _next if _is_free(port := _FIRST + n % _MANY))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
