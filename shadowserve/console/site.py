"""The routes that people's browsers ask: pages, what renews them, and the buttons on them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from hmac import compare_digest
from typing import Any
from urllib.parse import parse_qs, urlencode

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from shadowserve.console import pages
from shadowserve.console.board import Board, Picture
from shadowserve.console.pages import Steering, View
from shadowserve.console.responses import as_asset, as_html, as_json, refused
from shadowserve.errors import RequestError, ShadowserveError, UnreadableError
from shadowserve.http.asgi import ClientGone, read_pieces
from shadowserve.report import build
from shadowserve.report.one_request import one_request
from shadowserve.settings.gate import is_page
from shadowserve.state import deployment as deployments
from shadowserve.state import pauses
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places

ALL = "all"
"""What stands for the overview where a challenger is asked for."""
MOST_STREAMS = 256
LONGEST_FORM = 4_096
_TYPES = {"style.css": "text/css", "live.js": "text/javascript"}


class Site:
    """The pages of one state directory.

    Parameters
    ----------
    places : Places
    board : Board
    """

    def __init__(self, places: Places, board: Board) -> None:
        self._places = places
        self._board = board
        self._mark = secrets.token_urlsafe(24)
        self._streams = 0

    def routes(self) -> list[Route]:
        """Return what is served."""
        return [
            Route("/", self.page),
            Route("/report.html", self.page),
            Route("/events", self.events),
            Route("/live.json", self.live),
            Route("/request", self.request),
            Route("/step", self.step),
            *(Route(f"/{name}", self.asset) for name in _TYPES),
            Route("/pause", self.pause, methods=["POST"]),
            Route("/resume", self.resume, methods=["POST"]),
        ]

    async def asset(self, request: Request) -> Response:
        """Return the style sheet or the script."""
        name = request.url.path.rpartition("/")[2]
        return as_asset(pages.asset(name)[0], _TYPES[name])

    async def page(self, request: Request) -> Response:
        """Return the page of a challenger, or of several the overview; ``?challenger=4`` picks one."""
        deployment = deployments.read(self._places)
        if deployment is None or not deployment.challengers:
            told = "Nothing is served yet." if deployment is None else "No challenger is served."
            return as_html(pages.waiting(told), status=503)
        try:
            wanted = self._wanted(deployment, request)
            view, newest = await self._view(deployment, wanted, wait=False)
        # An open page asks again by itself, so it gets a page, and a status that a probe understands.
        except UnreadableError as error:
            return as_html(pages.waiting(str(error), state="trouble"), status=503)
        except ShadowserveError as error:
            return as_html(pages.waiting(str(error), state="trouble"), status=400)
        told = pages.page(view, challenger=_named(wanted), tick=newest.tick, every_s=newest.every_s)
        return as_html(told)

    async def request(self, request: Request) -> Response:
        """Return the page of one request: ``?position=162``."""
        given = request.query_params.get("position", "")
        position = int(given) if given.isdecimal() and given.isascii() and len(given) < 20 else -1

        def read(deployment: Deployment, number: int) -> str | None:
            told = one_request(self._places, deployment, challenger=number, position=position)
            return None if told is None else pages.of_request(told, deployment, number)

        gone = (
            "This request is not on record here. What a lane recorded goes once it has arrived in MLflow and "
            "its disk is wanted; the run's comparisons have it."
        )
        return await self._aside(request, read, gone)

    async def step(self, request: Request) -> Response:
        """Return a step's history: ``?step=phrases``."""
        step = request.query_params.get("step", "")

        def read(deployment: Deployment, number: int) -> str | None:
            return pages.of_step(self._places, self._board.history, deployment, number, step)

        return await self._aside(request, read, "No step was named.")

    async def _aside(
        self, request: Request, read: Callable[[Deployment, int], str | None], missing: str
    ) -> Response:
        """Return a page that stands beside the report, and does not renew itself."""
        deployment = deployments.read(self._places)
        if deployment is None or not deployment.challengers:
            return as_html(pages.waiting("Nothing is served yet."), status=503)
        try:
            number = build.number_of(deployment, request.query_params.get("challenger"))
            page = await asyncio.to_thread(read, deployment, number)
        except UnreadableError as error:
            return as_html(pages.waiting(str(error), state="trouble"), status=503)
        except ShadowserveError as error:
            return as_html(pages.missing(str(error)), status=400)
        return as_html(pages.missing(missing), status=404) if page is None else as_html(page)

    async def live(self, request: Request) -> Response:
        """Return what has changed since a tick, once."""
        told = await self._news(request, _Seen())
        return as_json(told, status=200 if told is not None else 503)

    async def events(self, request: Request) -> Response:
        """Return what changes as a stream of server-sent events, one at each tick."""
        if self._streams >= MOST_STREAMS:
            return refused("overloaded", f"{MOST_STREAMS} pages are open already.", status=503)
        return StreamingResponse(
            self._stream(request),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    async def _stream(self, request: Request) -> AsyncIterator[bytes]:
        self._streams += 1
        try:
            yield b"retry: 3000\n\n"
            seen = _Seen()
            while not await request.is_disconnected():
                news = await self._news(request, seen)
                if news is not None:
                    yield b"data: " + orjson.dumps(news) + b"\n\n"
                await asyncio.sleep(seen.wait_s)
        finally:
            self._streams -= 1

    async def _news(self, request: Request, seen: _Seen) -> dict[str, Any] | None:
        """Return what a page lacks; with what it has already noted."""
        deployment = deployments.read(self._places)
        if deployment is None or not deployment.challengers:
            return None
        try:
            wanted = self._wanted(deployment, request)
            view, newest = await self._view(deployment, wanted)
        except ShadowserveError as error:
            return {"trouble": str(error)}
        seen.wait_s = max(newest.due_in_s, 0.2)
        changed = seen.changed(view, newest, request.query_params.get("tick"))
        return {"tick": newest.tick, "every": newest.every_s, "title": view.title, "parts": changed}

    def _wanted(self, deployment: Deployment, request: Request) -> int | None:
        """Return the challenger asked for; None for the overview of several."""
        given = request.query_params.get("challenger") or None
        if given == ALL or (given is None and request.url.path != "/report.html"):
            if len(deployment.challengers) > 1:
                return None
            given = None
        return build.number_of(deployment, given)

    async def _view(
        self, deployment: Deployment, wanted: int | None, *, wait: bool = True
    ) -> tuple[View, Picture]:
        numbers = [version.number for version in deployment.challengers]
        asked = numbers if wanted is None else [wanted]
        look = self._board.latest if wait else self._board.at_hand
        found = [await look(deployment, number) for number in asked]
        steering = Steering(self._mark, paused=self._places.paused.exists())
        if wanted is None:
            return pages.of_all([one.report for one in found], numbers, steering), found[-1]
        return pages.of_challenger(found[0].report, numbers, steering), found[0]

    async def pause(self, request: Request) -> Response:
        """Let lanes skip what comes."""
        return await self._steered(request, lambda: pauses.begin(self._places), paused=True)

    async def resume(self, request: Request) -> Response:
        """Let lanes go on, and try degraded ones again."""

        def go_on() -> None:
            pauses.end(self._places)
            self._places.resume.touch(mode=0o600)

        return await self._steered(request, go_on, paused=False)

    async def _steered(self, request: Request, do: Callable[[], None], *, paused: bool) -> Response:
        form: dict[str, str] = {}
        # Programs bear no mark; the gate has turned away pages of other sites before.
        if is_page(dict(request.scope["headers"])):
            try:
                form = await _form(request)
            except ClientGone:
                return Response(status_code=400)
            if not compare_digest(form.get("mark", "").encode(), self._mark.encode()):
                told = "This page is of an earlier console. Load it again, then press the button."
                return refused("old_page", told, status=403)
        try:
            do()
        except OSError as error:
            return _unwritable(error)
        self._board.outdate()
        if "text/html" in request.headers.get("accept", ""):
            number = form.get("challenger", "")
            query = f"?{urlencode({'challenger': number})}" if number.isdecimal() else ""
            return RedirectResponse(f"./{query}", status_code=303)
        return as_json({"paused": paused})


class _Seen:
    """What one viewer has: the parts as they were sent last."""

    def __init__(self) -> None:
        self._parts: dict[str, str] | None = None
        self.wait_s = 1.0

    def changed(self, view: View, newest: Picture, tick: str | None) -> Mapping[str, str]:
        """Return the parts that the viewer lacks, and note that they are sent."""
        # A page that was written of this very picture has all of it.
        if self._parts is None:
            self._parts = dict(view.parts) if tick == newest.tick else {}
        found = {name: part for name, part in view.parts.items() if self._parts.get(name) != part}
        self._parts = dict(view.parts)
        return found


def _named(wanted: int | None) -> str:
    return ALL if wanted is None else str(wanted)


async def _form(request: Request) -> dict[str, str]:
    """Return a form's fields; empty where it is none."""
    try:
        body = await read_pieces(
            request.receive, limit=LONGEST_FORM, advice="Send the form as it is."
        )
        return {
            name: values[0] for name, values in parse_qs(body.decode(), max_num_fields=8).items()
        }
    except (RequestError, ValueError):
        return {}


def _unwritable(error: OSError) -> Response:
    told = (
        f"The state directory cannot be written ({error.strerror}). Free space there and ask again."
    )
    return refused("unwritable", told, status=503)
