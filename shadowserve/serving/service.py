"""The only door to BentoML: the service that a champion worker runs.

BentoML's worker loads this module, builds the service's application and serves it. Our data plane
stands in front of that application; BentoML's page and OpenAPI document lie behind it. The server has
a thread of its own, so that the main one is the model's, and health checks are answered meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import queue
import signal
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any

import bentoml
import uvicorn
import uvicorn.config

from shadowserve.errors import ShadowserveError
from shadowserve.faults import fault_of
from shadowserve.host import stages
from shadowserve.host.leash import watch_parent
from shadowserve.host.private_log import PRINTS, silence_others, tell_stacks
from shadowserve.http import header_limit, tokens
from shadowserve.http.asgi import App, Receive, Scope, Send
from shadowserve.http.header_limit import BoundedHead
from shadowserve.http.passage import Crossing, Prefixed
from shadowserve.serving.bentoml_worker import GAVE_UP_CALL, PRIVATE_VARIABLE
from shadowserve.serving.champion_worker import ChampionWorker
from shadowserve.serving.dataplane import DataPlane
from shadowserve.serving.orders import Orders
from shadowserve.serving.patience import LOOK_S
from shadowserve.settings import gate as gates
from shadowserve.state.deployment import Deployment
from shadowserve.state.deployment import read as read_deployment
from shadowserve.state.files import write_whole
from shadowserve.state.places import Places

FAREWELL_S = 0.5
HEADS_EVERY = 5
_READ_S = float(os.environ.get("SHADOWSERVE_READ_TIMEOUT", "60"))

_log = logging.getLogger(__name__)


def _wait_for_deployment(places: Places) -> Deployment:
    """Wait for the supervisor to resolve the pins and to bring the files here, however long it takes.

    This process ends with the supervisor, so nobody is waited for in vain.
    """
    wanted = os.environ["SHADOWSERVE_START"]
    while True:
        deployment = read_deployment(places)
        if deployment is not None and deployment.start == wanted:
            return deployment
        time.sleep(0.02)


class _Champion:
    """The pinned champion. Every answer is the champion's; challengers are scored elsewhere."""

    @bentoml.api(route="/predict")  # type: ignore[untyped-decorator]
    def predict(self, rows: list[dict[str, Any]]) -> list[Any]:
        """Score rows given as records; answered by the data plane, declared here for clients."""
        raise NotImplementedError(f"{len(rows)} rows came past the data plane")

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def shutdown(self) -> None:
        """Finish and seal before the process ends."""
        _worker().close()


class _FrontedService(bentoml.Service):  # type: ignore[misc]
    """A BentoML service whose application stands behind the data plane.

    In front of BentoML's middleware, not inside it: tracing and timeout cost a request more than
    everything else on its way, and the timeout keeps a timer for each request for a minute.
    """

    def to_asgi(self, is_main: bool = True) -> App:
        """Build BentoML's application and put the data plane before it.

        BentoML's worker takes uvicorn's protocol by the name ``auto``.
        """
        uvicorn.config.HTTP_PROTOCOLS["auto"] = header_limit.PROTOCOL
        return _Front(super().to_asgi(is_main))


_WORKERS: list[ChampionWorker] = []
_TO_LOAD: queue.SimpleQueue[tuple[ChampionWorker, DataPlane]] = queue.SimpleQueue()


def _worker() -> ChampionWorker:
    if not _WORKERS:
        _WORKERS.append(ChampionWorker(_give_up))
    return _WORKERS[0]


class _Front:
    """Builds the data plane around BentoML's application and loads the champion behind it."""

    def __init__(self, app: App) -> None:
        watch_parent(int(os.environ["SHADOWSERVE_PARENT"]))
        silence_others(os.environ.get(PRINTS))
        worker = _worker()
        gate = gates.Gate.from_environment()
        self._plane = DataPlane(
            app,
            counters=worker.counters,
            unknown_columns=worker.journal.unknown_columns,
            all_ready=worker.all_ready,
            metrics=worker.metrics,
            max_body=int(os.environ["SHADOWSERVE_MAX_BODY"]),
            read_timeout_s=_READ_S,
            token=tokens.from_environment(),
            gate=gate,
        )
        self._app: App = Crossing(self._plane, gate) if gate.origins else self._plane
        prefix = os.environ.get(gates.PREFIX, "")
        if prefix:
            self._app = Prefixed(self._app, prefix)
        if (
            not gate.origins
        ):  # pages that may ask are told so in headers, which the application adds
            self._plane.short_way.prefix = prefix
            BoundedHead.short_way = self._plane.short_way
        # For the main thread: what a model sets up may belong to the thread that loads it.
        _TO_LOAD.put((worker, self._plane))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on to the data plane; from the loop's first turn on, show that it turns.

        The server begins to listen once this has begun its life: not before the champion is loaded, so
        that no request comes to a worker that cannot take it.
        """
        if scope["type"] == "lifespan":
            worker = _worker()
            self._beating = asyncio.create_task(_beat(worker, self._plane))
            if _Server.running is not None:
                self._orders = Orders.heed(worker, self._plane, _Server.running)
            while not worker.counters.counts().ready:
                await asyncio.sleep(0.02)
        try:
            await self._app(scope, receive, send)
        except BaseException as error:
            # Told to the supervisor, which has to say why and to end everything.
            if scope["type"] == "lifespan" and not isinstance(error, asyncio.CancelledError):
                with contextlib.suppress(OSError):
                    _report_failure(_worker().places, error)
            raise


class _Server(uvicorn.Server):
    """uvicorn's server as BentoML's worker makes it, on a thread that no signal reaches."""

    running: _Server | None = None
    _closed = False

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        _Server.running = self

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen: where only the supervisor comes, if it gave such a place."""
        private = os.environ.get(PRIVATE_VARIABLE)
        await super().startup(sockets if private is None else [])
        if private is not None:
            listener = socket.socket(fileno=int(private))
            loop = asyncio.get_running_loop()
            self.servers.append(await loop.create_unix_server(self.protocol, sock=listener))
        if self._closed:  # told to part before it had begun to listen
            self.close()

    def protocol(self) -> BoundedHead:
        """Make what answers on a connection, as uvicorn does."""
        made: BoundedHead = self.config.http_protocol_class(  # type: ignore[assignment, call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made

    async def open(self, listener: socket.socket) -> None:
        """Take callers at this socket, and at no other."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            self.protocol, sock=listener, ssl=self.config.ssl, backlog=self.config.backlog
        )
        for other in self.servers:
            other.close()
        self.servers, self._closed = [server], False

    def close(self) -> None:
        """Take no more callers, also where it has not begun to listen yet."""
        self._closed = True
        for server in getattr(self, "servers", ()):
            server.close()

    def exit(self) -> None:
        """End, once everybody has been answered."""
        self.should_exit = True


def start(arguments: Sequence[str]) -> None:
    """Run BentoML's worker on a thread of its own, and end the process with it."""

    def serve() -> None:
        code = 1
        try:
            from _bentoml_impl.worker.service import main

            uvicorn.Server = _Server  # type: ignore[misc]
            main(list(arguments), standalone_mode=False)
            code = 0
        except BaseException:
            _log.exception("the server ended")
        finally:
            os._exit(code)  # the model may hold the main thread; all that is kept is closed by now

    threading.Thread(target=serve, name="server", daemon=True).start()


def stop() -> None:
    """Let the server finish what it has, close, and end the process."""
    if _Server.running is None or not _Server.running.started:
        os._exit(0)  # it has not begun to listen
    _Server.running.should_exit = True


def work() -> None:
    """Load the champion and score with it, on this thread, as long as the process lives."""
    worker, plane = _TO_LOAD.get()
    stages.reached("server")
    try:
        worker.prepare()
        stages.reached("libraries")
        deployment = _wait_for_deployment(worker.places)
        stages.reached("pins awaited")
        champion = worker.load(plane, deployment)
    except BaseException as error:  # a model's sys.exit() too
        with contextlib.suppress(OSError):  # a full disk; what matters is that it is replaced
            _report_failure(worker.places, error)
        os.kill(os.getpid(), signal.SIGKILL)
        raise
    try:
        champion.run()
    except BaseException:
        _log.exception("the champion's thread ended")
        os.kill(os.getpid(), signal.SIGKILL)
    threading.Event().wait()  # closed: the server ends the process


async def _beat(worker: ChampionWorker, plane: DataPlane) -> None:
    """Look after callers that wait, and leave the time: who hangs elsewhere is replaced too."""
    for turn in itertools.count():
        worker.counters.set("beat_ns", time.monotonic_ns())
        with contextlib.suppress(Exception):
            if turn % HEADS_EVERY == 0:  # idle connections may be many
                BoundedHead.hasten(_READ_S)
            if worker.patience is not None:
                worker.patience.look()
            stopped = _Server.running is not None and _Server.running.should_exit
            if stopped or worker.places.stopping.exists():
                plane.leave()
        await asyncio.sleep(LOOK_S)


def _give_up() -> None:
    """End the process, whose model is in a call that does not end, once the answers have left."""
    _log.error("a call of the model does not end: the worker gives up; its threads are at")
    tell_stacks()
    # At once, so that probes learn of it while the last answers leave.
    _worker().counters.set("ready", 0)
    for listening in _Server.running.servers if _Server.running is not None else ():
        listening.close()  # whoever comes now is another worker's
    asyncio.get_running_loop().call_later(FAREWELL_S, os._exit, GAVE_UP_CALL)


def _report_failure(places: Places, error: BaseException) -> None:
    """Leave the reason for the supervisor, which prints it and ends everything."""
    known = isinstance(error, ShadowserveError)
    fault = fault_of(error)
    reason = (
        str(error) if known else f"{fault.type} at {fault.frame} while the champion's worker began"
    )
    write_whole(places.champion_failed, json.dumps({"reason": reason}))
    _log.error("%s", reason)


ShadowChampion = _FrontedService(name="ShadowChampion", inner=_Champion)
