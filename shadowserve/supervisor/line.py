"""The line to one champion worker: orders go one way, what has been done comes back; nobody waits at it."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Mapping
from typing import Any

MOST_BYTES = 2**16


class Line:
    """A pair of sockets that outlives the worker's process: the next one hears what this one did not.

    Raises
    ------
    OSError
        Where the system has no such sockets; then nobody can hand over.
    """

    def __init__(self) -> None:
        self._own, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._own.setblocking(False)

    @property
    def descriptor(self) -> int:
        """What the worker inherits."""
        return self._theirs.fileno()

    def order(self, do: str, *given: socket.socket, **facts: Any) -> None:
        """Give an order, and descriptors along with it."""
        told = json.dumps({"do": do, **facts}).encode()
        with contextlib.suppress(
            OSError
        ):  # full: its worker has heard nothing for long, and is seen to hang
            socket.send_fds(self._own, [told], [one.fileno() for one in given])

    def done(self) -> list[Mapping[str, Any]]:
        """Return what has been done since."""
        found: list[Mapping[str, Any]] = []
        with contextlib.suppress(OSError):
            while told := self._own.recv(MOST_BYTES):
                found.append(json.loads(told))
        return found

    def close(self) -> None:
        """Give no more orders."""
        self._own.close()
        self._theirs.close()
