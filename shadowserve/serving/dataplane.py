"""The data plane: HTTP in, the champion's answer out, nothing else on the way.

An ASGI application that stands in front of BentoML's own. It answers the scoring protocols, health
and metrics itself and hands what BentoML answers (its OpenAPI document, its page's files) through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from shadowserve.errors import RequestError
from shadowserve.http.admission import Admission
from shadowserve.http.answer_head import AnswerHead
from shadowserve.http.asgi import App, Head, Receive, Scope, Send, bearing, request_id_of
from shadowserve.http.refusals import refusal
from shadowserve.serving import home
from shadowserve.serving.handler import ScoringHandler
from shadowserve.serving.information import NOT_READY, Handler, Information
from shadowserve.serving.ready import Ready
from shadowserve.serving.short_way import ShortWay
from shadowserve.settings.gate import Gate
from shadowserve.state.counters import Counters
from shadowserve.state.unknown_columns import UnknownColumns
from shadowserve.wire.protocol import Protocol, Purpose
from shadowserve.wire.protocols import OWN_ROUTES, form_at, owner_of, protocols

_POST = ("POST",)
_GET = ("GET", "HEAD")
_NO_ROUTE = RequestError(
    "There is no such route here. GET / shows them all.", code="not_found", status=404
)
_NOBODY: tuple[tuple[str, ...], Handler | None] = ((), None)


class DataPlane:
    """Routes of the data plane.

    Parameters
    ----------
    app : ASGI application
        BentoML's, for every path that is not ours.
    counters : Counters
        This worker's counts.
    unknown_columns : UnknownColumns
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
        unknown_columns: UnknownColumns,
        all_ready: Callable[[], bool],
        metrics: Callable[[], bytes],
        max_body: int,
        read_timeout_s: float | None = None,
        token: bytes | None = None,
        gate: Gate | None = None,
    ) -> None:
        self._app = app
        self._admission = Admission(gate, token)
        self._guarded = token is not None
        self._counters = counters
        self._head = AnswerHead()
        self._information = Information(self._head, all_ready=all_ready, metrics=metrics)
        self.scoring = ScoringHandler(
            self._head,
            counters=counters,
            unknown_columns=unknown_columns,
            max_body=max_body,
            read_timeout_s=read_timeout_s,
        )
        self.short_way = ShortWay(
            self.scoring, self._admission, counters=counters, max_body=max_body
        )
        self._ready: Ready | None = None
        self._former: frozenset[str] = frozenset()
        self._routes = self._make_routes("", 0)

    def open(self, ready: Ready) -> None:
        """Begin to answer; until then every scoring request gets a 503."""
        self._head.serve(ready.model, ready.version)
        self._routes = self._make_routes(ready.model, ready.version)
        self._information.open(ready, guarded=self._guarded)
        self._former = frozenset(_former_paths(ready)) - self._routes.keys()
        self._ready = ready
        self.scoring.open(ready)
        self.short_way.open(self._scoring_routes(ready.model, ready.version))

    def leave(self, *, succeeded: bool = False) -> None:
        """Begin to part with callers: no connection is kept beyond its next answer.

        Parameters
        ----------
        succeeded : bool
            Whether others serve by now: then this stays ready until its last caller has gone.
        """
        self._head.leave(succeeded=succeeded)
        self.short_way.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it to BentoML."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if (error := self._admission.why_not(scope)) is not None:
            await self._refuse(scope, send, error)
            return
        # MLflow's server redirects from a trailing slash, and not every client follows
        path = scope["path"].rstrip("/")
        methods, handle = self._routes.get(path, _NOBODY)
        if handle is None:
            if not home.is_behind(path):
                await self._refuse(scope, send, self._unknown(path))
                return
            handle = self._app
        elif scope["method"] not in methods:
            wanted = RequestError(
                f"Use {' or '.join(methods)}.", code="method_not_allowed", status=405
            )
            await self._refuse(scope, send, wanted, [(b"allow", ", ".join(methods).encode())])
            return
        # Scoring bears its own head; all else gets it here, also what BentoML answers.
        if methods != _POST:
            request_id = request_id_of(dict(scope["headers"]).get(b"x-request-id"))
            send = bearing(send, self._head.of(request_id))
        await handle(scope, receive, send)

    def _make_routes(
        self, model: str, version: int
    ) -> Mapping[str, tuple[tuple[str, ...], Handler]]:
        """Return what answers each path; those that name the model are there once one is served."""
        routes: dict[str, tuple[tuple[str, ...], Handler]] = {
            **dict.fromkeys(home.PATHS, (_GET, self._information.page)),
            **{each.path: (_GET, self._information.answering(each)) for each in OWN_ROUTES},
        }
        for protocol in protocols(model, version).values():
            for route in protocol.routes:
                if model or not route.names_model:
                    routes[route.of(model, version)] = (
                        (_POST, partial(self.scoring.score, protocol))
                        if route.purpose is Purpose.SCORE
                        else (_GET, self._information.answering(route))
                    )
        return routes

    @staticmethod
    def _scoring_routes(model: str, version: int) -> Mapping[str, Protocol]:
        """Return the protocol that scores at each path, of the version that is served."""
        return {
            route.of(model, version): protocol
            for protocol in protocols(model, version).values()
            for route in protocol.routes
            if route.purpose is Purpose.SCORE
        }

    def _unknown(self, path: str) -> RequestError:
        """Say that a path leads nowhere; below a protocol's, that another version is served."""
        owner = owner_of(path)
        if owner is None or not owner.names_model:
            return _NO_ROUTE
        if self._ready is None:
            return NOT_READY
        served = f"{self._ready.model}, version {self._ready.version}"
        if path in self._former:
            return RequestError(
                f"This version is no longer served here; its successor is {served}.",
                code="gone",
                status=410,
            )
        return RequestError(
            f"No such model, version or route here. Served: {served}.", code="not_found", status=404
        )

    async def _refuse(
        self, scope: Scope, send: Send, error: RequestError, more: Head | None = None
    ) -> None:
        # What we cannot answer yet is no caller's fault.
        if error.status < 500:
            self._counters.add("turned_away")
        self._counters.refuse(error.code)
        request_id = request_id_of(dict(scope["headers"]).get(b"x-request-id"))
        head = [*self._head.of(request_id), *(more or ())]
        refused = refusal(error, form_at(scope["path"]), request_id=request_id, head=head)
        await refused.sent(send)


def _former_paths(ready: Ready) -> Iterator[str]:
    """Yield the paths that name a version that was the champion before this one."""
    for number in ready.former:
        for protocol in protocols(ready.model, number).values():
            yield from (route.of(ready.model, number) for route in protocol.routes)
