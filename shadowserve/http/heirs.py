"""Idle connections change hands: from a process that is about to end to one that goes on.

The caller notices nothing: its connection stays what it is, and what it sends next is read by the other process. So
no request meets a connection that is just being closed, however long that one was idle.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Callable

from shadowserve.http.header_limit import BoundedHead

MOST_AT_ONCE = 16
"""Connections that are taken at one turn of the event loop: those that are served already wait no longer."""
_MOST_BYTES = 256


def pass_on(heir: socket.socket) -> int:
    """Hand what is idle on; return how many connections that were.

    To be called on the event loop: nothing is read between looking at a connection and letting go of it.

    Parameters
    ----------
    heir : socket
        Of the kind that keeps messages apart, not blocking.
    """
    n = 0
    for one in list(BoundedHead.open):
        standing = one.standing()
        if standing is None:
            continue
        descriptor = one.transport.get_extra_info("socket").fileno()
        try:
            socket.send_fds(heir, [json.dumps(standing).encode()], [descriptor])
        except OSError:  # its line is full, or it has died: this one is served here until then
            return n
        # The message holds a descriptor of its own, so that this closes nothing for the caller.
        one.transport.abort()
        n += 1
    return n


class Heir:
    """Takes connections over from another process, on the event loop.

    Parameters
    ----------
    line : socket
        Where they come from; closed once the other process has none left.
    protocol : callable
        Makes what answers on a connection.
    """

    def __init__(self, line: socket.socket, protocol: Callable[[], BoundedHead]) -> None:
        self._line, self._protocol = line, protocol
        self._loop = asyncio.get_running_loop()
        self._coming: set[asyncio.Task[None]] = set()
        self.n = 0
        line.setblocking(False)
        self._loop.add_reader(line.fileno(), self._take)

    def _take(self) -> None:
        for _ in range(MOST_AT_ONCE):
            try:
                told, descriptors, _, _ = socket.recv_fds(self._line, _MOST_BYTES, 1)
            except BlockingIOError:
                return
            except OSError:
                told, descriptors = b"", []
            if not told:
                self._loop.remove_reader(self._line.fileno())
                self._line.close()
                return
            for descriptor in descriptors:
                idle_s, fresh = json.loads(told)
                coming = self._loop.create_task(self._serve(descriptor, float(idle_s), bool(fresh)))
                self._coming.add(coming)
                coming.add_done_callback(self._coming.discard)

    async def _serve(self, descriptor: int, idle_s: float, fresh: bool) -> None:
        try:
            caller = socket.socket(fileno=descriptor)
        except OSError:  # its caller has gone meanwhile, and took the address along
            with contextlib.suppress(OSError):
                os.close(descriptor)
            return
        caller.setblocking(False)
        protocol = self._protocol()
        protocol.inherited = idle_s, fresh
        with contextlib.suppress(OSError):
            await self._loop.connect_accepted_socket(lambda: protocol, caller)
            self.n += 1
