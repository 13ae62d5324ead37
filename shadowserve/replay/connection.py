"""One connection to the target: opened, written and read without ever waiting for it."""

from __future__ import annotations

import socket
from typing import NamedTuple

from shadowserve.replay.incoming import Incoming
from shadowserve.replay.target import Target


class Sendable(NamedTuple):
    """A request that is ready to be sent.

    Parameters
    ----------
    due_s : float
        Seconds from the beginning.
    tag : object
        By which it is told of.
    """

    due_s: float
    data: bytes
    tag: object


class Connection:
    """One kept connection, with at most one request under way."""

    __slots__ = ("answer", "connecting", "free_s", "request", "rest", "sent_s", "socket", "writing")

    def __init__(self, target: Target) -> None:
        self.socket = socket.socket(target.family, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connecting, self.writing = True, False
        self.rest = memoryview(b"")
        self.request: Sendable | None = None
        self.sent_s = self.free_s = 0.0
        self.answer = Incoming()
        self.socket.connect_ex(target.address)  # how it ends is told with the first writing

    def push(self) -> bool:
        """Write what is left of the request; say whether all of it is out."""
        if self.connecting:
            code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, "connect")
        try:
            while self.rest:
                self.rest = self.rest[self.socket.send(self.rest) :]
        except BlockingIOError:
            return False
        except OSError:
            if self.connecting and _is_under_way(self.socket):
                return False
            raise
        self.connecting = False
        return True


def _is_under_way(connection: socket.socket) -> bool:
    """Tell whether a connection has neither come about nor failed."""
    try:
        connection.getpeername()
    except OSError:
        return connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    return False
