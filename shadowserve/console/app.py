"""The control plane's routes. It reads the state directory; nothing on the data plane waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shadowserve import labels as labelled
from shadowserve.console.acceptance import Acceptance
from shadowserve.console.board import Board
from shadowserve.console.callers import is_local
from shadowserve.console.metrics import Exposition
from shadowserve.console.responses import as_json, as_text, refused, response
from shadowserve.console.site import Site
from shadowserve.console.tap import Tap
from shadowserve.errors import RequestError, ShadowserveError, UnreadableError
from shadowserve.faults import fault_of
from shadowserve.http.asgi import ClientGone, read_pieces
from shadowserve.http.refusals import steering_refusal
from shadowserve.report import build
from shadowserve.state import deployment as deployments
from shadowserve.state import ledger
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places

MAX_LABELS = 16 * 2**20
"""Bytes of labels in one request."""

_log = logging.getLogger("shadowserve.console")

LABELS_MEDIA = ("application/json", "application/x-ndjson", "application/jsonl")


class Console:
    """Answers for one state directory.

    Parameters
    ----------
    places : Places
        The state directory.
    tap : Tap, optional
        Takes requests of a champion that answers elsewhere.
    guarded : bool
        Whether every caller has shown the token; then labels may come from other machines too.
    """

    def __init__(self, places: Places, *, tap: Tap | None = None, guarded: bool = False) -> None:
        self._places = places
        self._tap = tap
        self._metrics = Exposition(places)
        self._guarded = guarded
        self._board = Board(places)
        self._site = Site(places, self._board)

    def app(self) -> Starlette:
        """Return the ASGI application."""
        said = Acceptance(self._places, self._board, guarded=self._guarded)
        return Starlette(
            routes=[
                *self._site.routes(),
                Route("/livez", self.live),
                Route("/readyz", self.ready),
                Route("/status.json", self.status),
                Route("/report.json", self.report),
                Route("/metrics", self.metrics),
                Route("/labels", self.labels, methods=["POST"]),
                Route("/accept", self._then_anew(said.accept), methods=["POST"]),
                Route("/withdraw", self._then_anew(said.withdraw), methods=["POST"]),
                Route("/tap", self.tap, methods=["POST"]),
            ],
            lifespan=self._lifespan,
            exception_handlers={404: _no_route, 405: _no_route},
        )

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        keeping = asyncio.create_task(self._board.keep())
        try:
            async with self._tap.lifespan(app) if self._tap else nullcontext():
                yield
        finally:
            keeping.cancel()

    def outdate(self) -> None:
        """Let the next page that is asked for be made anew."""
        self._board.outdate()

    def _then_anew(self, endpoint: Callable[[Request], Awaitable[Response]]) -> Any:
        """Let pages show at once what was said."""

        async def said(request: Request) -> Response:
            answer = await endpoint(request)
            self.outdate()
            return answer

        return said

    async def live(self, _request: Request) -> Response:
        """Say that the control plane answers."""
        return as_json({"alive": True})

    async def ready(self, _request: Request) -> Response:
        """Say whether everything here is taken: with a tap, whether its journal is open."""
        ready = self._tap is None or self._tap.ready
        return as_json({"ready": ready}, status=200 if ready else 503)

    async def tap(self, request: Request) -> Response:
        """Take what a champion elsewhere was asked and answered."""
        if self._tap is None:
            told = (
                "Requests come through the data plane here; 'shadowserve serve --tap' takes copies."
            )
            return refused("no_tap", told, status=404)
        return await self._tap.take(request)

    async def status(self, _request: Request) -> Response:
        """Return the ledger."""
        return await self._told(
            lambda deployment: ledger.read(self._places, deployment).to_status()
        )

    async def report(self, request: Request) -> Response:
        """Return one challenger's report; ``?challenger=4`` picks it."""
        wanted = request.query_params.get("challenger")

        async def made(deployment: Deployment) -> Mapping[str, Any]:
            number = build.number_of(deployment, wanted)
            told = (await self._board.anew(deployment, number)).report
            return {name: part for name, part in told.items() if name != "now"}

        return await self._answered(made)

    async def metrics(self, _request: Request) -> Response:
        """Return what Prometheus collects here."""
        try:
            deployment = deployments.read(self._places)
            reports = {}
            if deployment is not None:
                for number in deployment.numbers:
                    reports[number] = await self._report_of(deployment, number)
            return as_text(await asyncio.to_thread(self._metrics.text, reports))
        except ShadowserveError as error:
            return refused("unreadable", str(error), status=503)

    async def _report_of(self, deployment: Deployment, number: int) -> Mapping[str, Any] | None:
        try:
            return (await self._board.latest(deployment, number)).report
        except Exception as error:  # told as such: lanes and evidence must be seen all the same
            fault = fault_of(error)
            _log.error("no report of v%d: %s at %s", number, fault.type, fault.frame)
            return None

    async def labels(self, request: Request) -> Response:
        """Take labels, all or none: a JSON list of ``{"request_id", "label"}``, or one a line.

        Without a token only from this machine: labels decide what is promoted.
        """
        if not (self._guarded or is_local(request)):
            told = "Without --token-file labels are taken from this machine only."
            return refused("not_local", told, status=403)
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media not in LABELS_MEDIA:  # a page of any site may send the rest unasked
            told = f"Send labels with Content-Type: {LABELS_MEDIA[0]}, or {LABELS_MEDIA[1]} for one a line."
            return refused("unsupported_media_type", told, status=415)
        try:
            advice = "Send labels in several requests."
            body = await read_pieces(request.receive, limit=MAX_LABELS, advice=advice)
        except RequestError as error:
            return response(steering_refusal(error))
        except ClientGone:
            return Response(status_code=400)
        return await self._told(
            lambda deployment: labelled.take(
                self._places, deployment, labelled.read_body(body)
            ).to_dict()
        )

    async def _told(self, tell: Callable[[Deployment], Any]) -> Response:
        """Read and compute off the loop, so that health checks are never held up."""

        async def told(deployment: Deployment) -> Any:
            return await asyncio.to_thread(tell, deployment)

        return await self._answered(told)

    async def _answered(self, tell: Callable[[Deployment], Awaitable[Any]]) -> Response:
        deployment = deployments.read(self._places)
        if deployment is None:
            return refused("starting", "Nothing is served yet.", status=503)
        try:
            return as_json(await tell(deployment))
        except UnreadableError as error:
            return refused("unreadable", str(error), status=503)
        except labelled.LabelsError as error:
            return refused("bad_labels", str(error), status=400, faults=error.told())
        except ShadowserveError as error:
            return refused("misuse", str(error), status=400)


def _no_route(_request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    if status == 405:
        return refused("method_not_allowed", "This route takes another method.", status=405)
    told = (
        "There is no such route here. There are /, /status.json, /report.json and /metrics to read, and "
        "/labels, /accept, /withdraw, /pause, /resume and /tap to send to."
    )
    return refused("not_found", told, status=404)
