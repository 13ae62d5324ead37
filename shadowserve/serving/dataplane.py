"""The data plane: HTTP in, the champion's answer out, nothing else on the way.

An ASGI application that stands in front of BentoML's own. It answers the scoring protocols, health
and metrics itself and hands every other path (BentoML's page, its OpenAPI document) through. All
refusals are made here, in one form, without a value of the request in them.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from shadowserve.errors import RequestError
from shadowserve.faults import fault_of, tell
from shadowserve.http import tokens
from shadowserve.http.asgi import (
    MAX_HELD,
    App,
    ClientGone,
    Crowded,
    Hands,
    Receive,
    Scope,
    Send,
    answer,
    bearing,
    is_gone,
    read_body,
    request_id_of,
)
from shadowserve.schema.rows import Rows
from shadowserve.schema.schema import Schema
from shadowserve.serving import home
from shadowserve.serving.champion import Champion, Overloaded
from shadowserve.serving.openapi import document
from shadowserve.serving.work import Work
from shadowserve.settings.gate import OPEN_PATHS, Gate, is_page
from shadowserve.state.counters import Counters
from shadowserve.state.metrics import observe_response
from shadowserve.state.refused import Refusals
from shadowserve.state.sampling import Sampling
from shadowserve.state.unknown_columns import UnknownColumns
from shadowserve.statistics.units import Headers, Named, nobody
from shadowserve.wire.answers import dumps
from shadowserve.wire.jsontext import refuse_nan
from shadowserve.wire.protocols import (
    Protocol,
    model_metadata,
    protocols,
    refusal_at,
    server_metadata,
)

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]

_log = logging.getLogger(__name__)

_POST = ("POST",)
_ENDS = {
    500: RequestError("The model failed on this request.", code="model_error", status=500),
    503: RequestError(
        "A call of the model does not end; the worker is being replaced. Try again in a second.",
        code="not_ready",
        status=503,
    ),
    504: RequestError(
        "The model has taken longer than --request-timeout on this request. "
        "Send fewer rows at a time, or raise it.",
        code="timeout",
        status=504,
    ),
    "not_ready": RequestError(
        "The champion is being loaded. Try again in a second.", code="not_ready", status=503
    ),
}
LARGE_BODY = 64 * 2**10
REFUSED = 400
"""The status of what does not fit the signature."""


@dataclass(frozen=True, slots=True)
class Ready:
    """What the data plane needs once the champion is loaded and warm.

    Parameters
    ----------
    entity_of : callable
        Headers to the entity that one of them names, and its unit.
    """

    model: str
    version: int
    champion: Champion
    schema: Schema
    sampling: Sampling
    strict_json: bool = False
    refusals: Refusals | None = None
    entity_of: Callable[[Headers], Named] = nobody


class _NotReady(Exception):  # noqa: N818 - a state, not a fault
    """The champion is not loaded yet."""


class DataPlane:
    """Routes of the data plane.

    Parameters
    ----------
    app : ASGI application
        BentoML's, for every path that is not ours.
    counters : Counters
        This worker's counts.
    strangers : UnknownColumns
        Takes the names of columns that the signature does not know.
    all_ready : callable
        Whether the champion is loaded and warm in every worker.
    metrics : callable
        Text of ``/metrics``, all workers together.
    max_body : int
        Bytes; a larger body is refused before it is parsed.
    read_timeout_s : float, optional
        How long a body may take to come.
    token : bytes, optional
        What every caller but a health probe must bear.
    gate : Gate, optional
        Turns away pages of other sites and callers that ask for another host.
    """

    def __init__(
        self,
        app: App,
        *,
        counters: Counters,
        strangers: UnknownColumns,
        all_ready: Callable[[], bool],
        metrics: Callable[[], bytes],
        max_body: int,
        read_timeout_s: float | None = None,
        token: bytes | None = None,
        gate: Gate | None = None,
    ) -> None:
        self._gate = gate or Gate()
        self._app = app
        self._counters = counters
        self._strangers = strangers
        self._all_ready = all_ready
        self._metrics = metrics
        self._scrape = asyncio.Lock()
        self._max_body = max_body
        self._read_s = read_timeout_s
        self._hands = Hands(MAX_HELD)
        self._token = token
        self._ready: Ready | None = None
        self._schema = Schema.open()
        self._leaving: list[tuple[bytes, bytes]] = []
        self._label = b"none"
        self._described: bytes | None = None
        self._routes = self._make_routes("", 0)

    def open(self, ready: Ready) -> None:
        """Begin to answer; until then every scoring request gets a 503."""
        self._label = f"{ready.model}/{ready.version}".encode("ascii", "replace")
        self._routes = self._make_routes(ready.model, ready.version)
        guarded = self._token is not None
        self._described = dumps(
            document(ready.schema, model=ready.model, version=ready.version, guarded=guarded)
        )
        self._schema = ready.schema.without_hint()  # its code runs where the model's does
        self._ready = ready

    def leave(self) -> None:
        """Begin to part with callers: no connection is kept beyond its next answer."""
        self._leaving = [(b"connection", b"close")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it to BentoML."""
        if scope["type"] == "http":
            if (turned := self._gate.why_not(scope)) is not None:
                await self._refuse(scope, send, turned.status, turned.code, turned.message)
                return
            if self._token is not None and not self._admits(scope):
                says = "Send the header Authorization: Bearer <token>."
                await self._refuse(scope, send, 401, "unauthorized", says)
                return
            # MLflow's server redirects from a trailing slash, and not every client follows
            path = scope["path"].rstrip("/")
            methods, handle = self._routes.get(path, ((), None))
            if handle is None and path.startswith("/v2/"):
                await self._unknown_model(scope, send)
                return
            if handle is None and not home.is_behind(path):
                says = "There is no such route here. GET / shows them all."
                await self._refuse(scope, send, 404, "not_found", says)
                return
            if handle is not None and scope["method"] not in methods:
                says = f"Use {' or '.join(methods)}."
                allow = [(b"allow", ", ".join(methods).encode())]
                await self._refuse(scope, send, 405, "method_not_allowed", says, allow)
                return
            if methods != _POST:
                request_id = request_id_of(dict(scope["headers"]).get(b"x-request-id"))
                send = bearing(send, self._head(request_id))
            await (handle or self._app)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _unknown_model(self, scope: Scope, send: Send) -> None:
        if self._ready is None:
            await self._not_ready(scope, send)
            return
        served = f"{self._ready.model}, version {self._ready.version}"
        says = f"No such model, version or route here. Served: {served}."
        await self._refuse(scope, send, 404, "not_found", says)

    async def _page(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await answer(send, 200, home.PAGE, list(home.HEAD), content_type=b"text/html")

    async def _not_ready(self, scope: Scope, send: Send) -> None:
        says = "The champion is being loaded. Try again in a second."
        await self._refuse(scope, send, 503, "not_ready", says, [(b"retry-after", b"1")])

    def _admits(self, scope: Scope) -> bool:
        given = dict(scope["headers"]).get(b"authorization")
        return scope["path"] in OPEN_PATHS or tokens.admits(self._token, given)

    def _make_routes(
        self, model: str, version: int
    ) -> Mapping[str, tuple[tuple[str, ...], Handler]]:
        post, get = _POST, ("GET", "HEAD")
        score = {n: partial(self._score, p) for n, p in protocols(model, version).items()}
        served = f"/v2/models/{model}"
        routes: dict[str, tuple[tuple[str, ...], Handler]] = {
            "/invocations": (post, score["invocations"]),
            "/predict": (post, score["predict"]),
            "/livez": (get, self._live),
            "/readyz": (get, self._readiness),
            "/metrics": (get, self._metric_text),
            "/openapi.json": (get, self._description),
            "/ping": (get, self._readiness),
            "/health": (get, self._readiness),
            "/version": (get, self._version),
            **dict.fromkeys(home.PATHS, (get, self._page)),
            "/v2": (get, self._server_metadata),
            "/v2/health/live": (get, self._live),
            "/v2/health/ready": (get, self._readiness),
        }
        for name in (served, f"{served}/versions/{version}"):
            routes[name] = (get, self._model_metadata)
            routes[f"{name}/ready"] = (get, self._readiness)
            routes[f"{name}/infer"] = (post, score["infer"])
        return routes

    async def _score(self, protocol: Protocol, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a request to the champion and its answer back."""
        arrived_wall_ns, arrived_ns = time.time_ns(), time.monotonic_ns()
        headers = dict(scope["headers"])
        request_id = request_id_of(headers.get(b"x-request-id"))
        self._counters.add("in_hand")
        body: bytes | None = None
        try:
            with self._hands.share() as hold:
                body = await read_body(
                    headers, receive, limit=self._max_body, hold=hold, timeout_s=self._read_s
                )
                ready = self._ready
                if ready is None:
                    raise _NotReady
                work = await self._work(
                    protocol, ready, headers, body, request_id, arrived_wall_ns, arrived_ns
                )
                ready.champion.submit(work)
        except RequestError as error:
            self._counters.add("rejected")
            head = self._head(request_id)
            if error.status == 408 and not self._leaving:  # the rest of the body would follow
                head.append((b"connection", b"close"))
            await answer(send, error.status, protocol.refuse(error, request_id), head)
            self._keep(protocol, headers, body, error)
        except (Overloaded, Crowded):
            self._counters.add("overloaded")
            busy = RequestError(
                "Too much is in hand here. Try again in a second.", code="overloaded", status=503
            )
            head = [*self._head(request_id), (b"retry-after", b"1")]
            await answer(send, 503, protocol.refuse(busy, request_id), head)
        except _NotReady:
            self._counters.add("not_ready")
            head = [*self._head(request_id), (b"retry-after", b"1")]
            await answer(send, 503, protocol.refuse(_ENDS["not_ready"], request_id), head)
        except ClientGone:
            self._counters.add("client_gone")
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # ours to mend; the caller gets no plain text, no traceback
            self._counters.add("rejected")
            fault = fault_of(error)
            tell(_log, "request %s: %s at %s", request_id, fault.type, fault.frame)
            broken = RequestError(
                "The request could not be taken.", code="internal_error", status=500
            )
            await answer(send, 500, protocol.refuse(broken, request_id), self._head(request_id))
        else:
            await self._deliver(protocol, receive, send, work)
        finally:
            self._counters.add("in_hand", -1)

    def _keep(
        self,
        protocol: Protocol,
        headers: Mapping[bytes, bytes],
        body: bytes | None,
        error: RequestError,
    ) -> None:
        """Keep what the signature refused, for challengers to say what theirs would."""
        refusals = self._ready.refusals if self._ready is not None else None
        if refusals is not None and body is not None and error.status == REFUSED:
            refusals.keep(protocol.name, headers.get(b"content-type", b"").decode("latin-1"), body)

    async def _deliver(self, protocol: Protocol, receive: Receive, send: Send, work: Work) -> None:
        scored = await work.done
        body = scored.body
        if scored.status != 200:
            body = protocol.refuse(scored.refusal or _ENDS[scored.status], work.request_id)
            if scored.refusal is not None:
                self._counters.add("rejected")
        self._counters.add("nonfinite", scored.nonfinite)
        if is_gone(receive):  # it was scored and journaled all the same
            self._counters.add("client_gone")
            return
        head = self._head(work.request_id)
        if scored.nonfinite:
            head.append((b"x-shadowserve-nonfinite", str(scored.nonfinite).encode()))
        if scored.status == 503:
            head.append((b"retry-after", b"1"))
        await answer(send, scored.status, body, head)
        observe_response(scored.status, (time.monotonic_ns() - work.arrived_ns) / 1e9)

    async def _work(
        self,
        protocol: Protocol,
        ready: Ready,
        headers: Mapping[bytes, bytes],
        body: bytes,
        request_id: str,
        arrived_wall_ns: int,
        arrived_ns: int,
    ) -> Work:
        content_type = headers.get(b"content-type", b"").decode("latin-1")
        if not content_type and is_page(headers):  # the one kind that a page of any site may send
            raise RequestError(
                "No content type came. Browsers send JSON as application/json.",
                code="unsupported_media_type",
                status=415,
            )
        if ready.strict_json:
            refuse_nan(body)
        loop = asyncio.get_running_loop()
        if len(body) < LARGE_BODY:
            rows, echo, parse_ns, schema_ns = _typed(protocol, body, content_type, self._schema)
        else:  # a large body must not hold up everybody's health checks
            rows, echo, parse_ns, schema_ns = await loop.run_in_executor(
                None, _typed, protocol, body, content_type, self._schema
            )
        if rows.extra:
            self._counters.add("extra_columns", len(rows.extra))
            self._strangers.meet(rows.extra)
        named, unit = ready.entity_of(headers)
        return Work(
            request_id=request_id,
            protocol=protocol.name,
            content_type=content_type,
            body=body,
            rows=rows,
            encode=partial(protocol.encode, echo=echo),
            sampled=ready.sampling.takes(request_id, rows, named=named),
            arrived_wall_ns=arrived_wall_ns,
            arrived_ns=arrived_ns,
            parsed_ns=time.monotonic_ns(),
            parse_ns=parse_ns,
            schema_ns=schema_ns,
            loop=loop,
            done=loop.create_future(),
            trial=None if ready.schema.fits is None else partial(ready.schema.try_hint, rows),
            unit=unit,
        )

    def _head(self, request_id: str) -> list[tuple[bytes, bytes]]:
        return [
            (b"x-request-id", request_id.encode("latin-1", "replace")),
            (b"x-shadowserve-model", self._label),
            *self._leaving,
        ]

    async def _refuse(
        self,
        scope: Scope,
        send: Send,
        status: int,
        code: str,
        message: str,
        head: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        if status < 500:
            self._counters.add("turned_away")
        request_id = request_id_of(dict(scope["headers"]).get(b"x-request-id"))
        error = RequestError(message, code=code, status=status)
        body = refusal_at(scope["path"], error, request_id)
        await answer(send, status, body, [*self._head(request_id), *head])

    async def _live(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await answer(send, 200, b"{}", [])

    async def _readiness(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        ready = not self._leaving and self._all_ready()
        body = json.dumps({"ready": ready, "model": self._label.decode()}).encode()
        await answer(send, 200 if ready else 503, body, [])

    async def _metric_text(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        async with self._scrape:  # adding up takes milliseconds, which no caller shall wait
            text = await asyncio.to_thread(self._metrics)
        await answer(send, 200, text, [], content_type=b"text/plain; version=0.0.4")

    async def _version(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Tell MLflow's version, as its scoring server does."""
        text = importlib.metadata.version("mlflow").encode()
        await answer(send, 200, text, [], content_type=b"text/plain")

    async def _server_metadata(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await answer(send, 200, server_metadata(), [])

    async def _description(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if self._described is None:
            await self._not_ready(scope, send)
        else:
            await answer(send, 200, self._described, [])

    async def _model_metadata(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if self._ready is None:
            await self._not_ready(scope, send)
        else:
            body = model_metadata(
                self._ready.schema, model=self._ready.model, version=self._ready.version
            )
            await answer(send, 200, body, [])


def _typed(
    protocol: Protocol, body: bytes, content_type: str, schema: Schema
) -> tuple[Rows, str | None, int, int]:
    """Return typed rows, the protocol's own id, and what reading and typing took, in ns."""
    started_ns = time.monotonic_ns()
    given = protocol.read_body(body, content_type)
    read_ns = time.monotonic_ns()
    rows, echo = protocol.type(given, schema)
    return rows, echo, read_ns - started_ns, time.monotonic_ns() - read_ns
