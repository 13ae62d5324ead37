"""The data plane's GET routes: health, metrics, metadata and a page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial

from shadowserve.errors import RequestError
from shadowserve.http.answer_head import AnswerHead
from shadowserve.http.asgi import Receive, Scope, Send, answer, request_id_of
from shadowserve.http.refusals import refusal
from shadowserve.schema.schema import Schema
from shadowserve.serving import home
from shadowserve.serving.openapi import document
from shadowserve.serving.ready import Ready
from shadowserve.wire.answers import dumps
from shadowserve.wire.protocol import Purpose, Route
from shadowserve.wire.protocols import form_at

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]

NOT_READY = RequestError(
    "The champion is being loaded. Try again in a second.", code="not_ready", status=503
)


class Information:
    """Answers what is asked with GET.

    Parameters
    ----------
    head : AnswerHead
        Names the served version.
    all_ready : callable
        Whether the champion is loaded and warm in every worker.
    metrics : callable
        Text of ``/metrics``, all workers together.
    """

    def __init__(
        self, head: AnswerHead, *, all_ready: Callable[[], bool], metrics: Callable[[], bytes]
    ) -> None:
        self._head = head
        self._all_ready = all_ready
        self._metrics = metrics
        self._scrape = asyncio.Lock()
        self._served = (Schema.open(), "", 0)
        self._described: bytes | None = None

    def open(self, ready: Ready, *, guarded: bool) -> None:
        """Begin to tell of the served version."""
        self._served = (ready.schema, ready.model, ready.version)
        self._described = dumps(
            document(ready.schema, model=ready.model, version=ready.version, guarded=guarded)
        )

    def answering(self, route: Route) -> Handler:
        """Return what answers a route."""
        if route.purpose is Purpose.TELL:
            return partial(self._tell, route)
        return {
            Purpose.LIVE: self._live,
            Purpose.READY: self._readiness,
            Purpose.METRICS: self._metric_text,
            Purpose.DOCUMENT: self._description,
        }[route.purpose]

    async def page(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Show the page that a browser finds here."""
        await answer(send, 200, home.PAGE, list(home.HEAD), content_type=b"text/html")

    async def _live(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await answer(send, 200, b"{}", [])

    async def _readiness(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        head = self._head
        ready = head.succeeded or (not head.is_leaving and self._all_ready())
        body = json.dumps({"ready": ready, "model": self._head.label.decode()}).encode()
        await answer(send, 200 if ready else 503, body, [])

    async def _metric_text(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        async with self._scrape:  # adding up takes milliseconds, which no caller shall wait
            text = await asyncio.to_thread(self._metrics)
        await answer(send, 200, text, [], content_type=b"text/plain; version=0.0.4")

    async def _description(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if self._described is not None:
            await answer(send, 200, self._described, [])
            return
        request_id = request_id_of(dict(scope["headers"]).get(b"x-request-id"))
        refused = refusal(
            NOT_READY,
            form_at(scope["path"]),
            request_id=request_id,
            head=self._head.of(request_id),
        )
        await refused.sent(send)

    async def _tell(self, route: Route, _scope: Scope, _receive: Receive, send: Send) -> None:
        if route.tell is not None:
            body = route.tell(*self._served)
            await answer(send, 200, body, [], content_type=route.media.encode())
