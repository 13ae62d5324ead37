"""The supervisor's orders to a champion worker, heard on its event loop: to open, to part, to rest, to serve again.

A worker of a later generation listens where only the supervisor reaches it until it is told to open; one that has a
successor is told to part, and hands its idle connections on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Protocol

from shadowserve.faults import fault_of, tell
from shadowserve.http.header_limit import PARTING_S, BoundedHead
from shadowserve.http.heirs import Heir, pass_on
from shadowserve.serving.bentoml_worker import LINE_VARIABLE
from shadowserve.serving.champion_worker import ChampionWorker
from shadowserve.serving.dataplane import DataPlane

LOOK_S, FIRST_LOOKS = 0.004, 250
"""Between two looks for idle connections, in the first second."""
LATER_LOOK_S = 0.05
MOST_BYTES = 2**16

_log = logging.getLogger(__name__)


class Server(Protocol):
    """What orders need of the worker's server."""

    def protocol(self) -> BoundedHead:
        """Make what answers on a connection."""

    async def open(self, listener: socket.socket) -> None:
        """Take callers at this socket, and at no other."""

    def close(self) -> None:
        """Take no more callers."""

    def exit(self) -> None:
        """End, once everybody has been answered."""


class Orders:
    """Heard as long as the worker lives.

    Parameters
    ----------
    line : socket
        Keeps messages apart.
    """

    def __init__(
        self, line: socket.socket, worker: ChampionWorker, plane: DataPlane, server: Server
    ) -> None:
        self._line, self._worker, self._plane, self._server = line, worker, plane, server
        self._doing: set[asyncio.Task[None]] = set()
        self._heirs: list[Heir] = []
        line.setblocking(False)
        asyncio.get_running_loop().add_reader(line.fileno(), self._hear)

    @classmethod
    def heed(cls, worker: ChampionWorker, plane: DataPlane, server: Server) -> Orders | None:
        """Begin to listen, where the supervisor gives orders."""
        told = os.environ.get(LINE_VARIABLE)
        return None if told is None else cls(socket.socket(fileno=int(told)), worker, plane, server)

    def _hear(self) -> None:
        try:
            told, descriptors, _, _ = socket.recv_fds(self._line, MOST_BYTES, 1)
        except OSError:
            return
        if not told:
            asyncio.get_running_loop().remove_reader(self._line.fileno())
            return
        order = json.loads(told)
        given = [socket.socket(fileno=one) for one in descriptors]
        doing = asyncio.get_running_loop().create_task(self._do(order, given))
        self._doing.add(doing)
        doing.add_done_callback(self._doing.discard)

    async def _do(self, order: Mapping[str, Any], given: Sequence[socket.socket]) -> None:
        what = str(order["do"])
        try:
            await self._act(what, order, given)
        except Exception as error:
            fault = fault_of(error)
            tell(_log, "could not %s: %s at %s", what, fault.type, fault.frame)
            self._tell(what, failed=f"{fault.type} at {fault.frame}")
            return
        self._tell(what)

    def _act(
        self, what: str, order: Mapping[str, Any], given: Sequence[socket.socket]
    ) -> Awaitable[None]:
        if what == "open":
            return self._open(given[0], order["peers"])
        if what == "inherit":
            return self._inherit(given[0])
        if what == "return":
            return self._return(order)
        return self._part(given[0], order)

    def _tell(self, what: str, **facts: Any) -> None:
        with contextlib.suppress(OSError):  # the supervisor has gone, and this process goes with it
            self._line.send(json.dumps({"done": what, **facts}).encode())

    async def _open(self, listener: socket.socket, peers: Sequence[int]) -> None:
        self._worker.peers = peers
        await self._server.open(listener)

    async def _inherit(self, line: socket.socket) -> None:
        self._heirs.append(Heir(line, self._server.protocol))

    async def _return(self, order: Mapping[str, Any]) -> None:
        self._worker.peers = order["peers"]
        self._worker.return_to(self._plane, str(order["own"]), int(order["worker"]))

    async def _part(self, heir: socket.socket, order: Mapping[str, Any]) -> None:
        """Take no more callers, hand on who is idle, answer the others, and end or rest."""
        loop = asyncio.get_running_loop()
        until = loop.time() + float(order["patience_s"])
        heir.setblocking(False)
        self._server.close()
        self._plane.leave(succeeded=True)
        looks = 0
        with heir:
            while BoundedHead.open and loop.time() < until:
                pass_on(heir)
                looks += 1
                await asyncio.sleep(LOOK_S if looks < FIRST_LOOKS else LATER_LOOK_S)
            await self._end_the_rest()
        if order["rests"]:
            self._worker.rest()
        else:
            self._server.exit()

    async def _end_the_rest(self) -> None:
        """Part with callers who neither could be handed on nor came again: after an answer, or for a second."""
        for one in list(BoundedHead.open):
            one.shutdown()
        loop = asyncio.get_running_loop()
        until = loop.time() + PARTING_S + 1.0
        while BoundedHead.open and loop.time() < until:
            await asyncio.sleep(LOOK_S)
        while self._worker.counters.counts().in_hand > 0:  # the supervisor's patience is the bound
            await asyncio.sleep(LATER_LOOK_S)
