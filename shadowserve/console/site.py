"""The routes that people's browsers ask: pages, what renews them, and the buttons on them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from hmac import compare_digest
from urllib.parse import parse_qs, urlencode

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from shadowserve.console import pages
from shadowserve.console.board import Board, Picture
from shadowserve.console.pages import Steering, View
from shadowserve.console.responses import as_asset, as_encoded, as_html, as_json, refused
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
_NOTHING = (
    "Nothing is served yet. 'shadowserve serve' begins a deployment; it shows here by itself."
)
_NO_CHALLENGER = "No challenger is served. 'shadowserve challengers add v4' puts one in the shadow."
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
        self._newest: dict[int | None, _Shown] = {}

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
            told = _NOTHING if deployment is None else _NO_CHALLENGER
            return as_html(pages.waiting(told), status=503)
        try:
            wanted = self._wanted(deployment, request)
            shown = await self._shown(deployment, wanted, wait=False)
        # An open page asks again by itself, so it gets a page, and a status that a probe understands.
        except UnreadableError as error:
            return as_html(pages.waiting(str(error), state="trouble"), status=503)
        except ShadowserveError as error:
            return as_html(pages.waiting(str(error), state="trouble"), status=400)
        every_s = shown.newest.every_s
        page = pages.page(shown.view, challenger=_named(wanted), tick=shown.tick, every_s=every_s)
        return as_html(page)

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
            return pages.of_step(self._places, self._board.memory.history, deployment, number, step)

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
        told = await self._news(request, _Viewer(request.query_params.get("tick")))
        return as_encoded(told or b"null", status=200 if told is not None else 503)

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
            viewer = _Viewer(request.query_params.get("tick"))
            while not await request.is_disconnected():
                news = await self._news(request, viewer)
                if news is not None:
                    yield b"data: " + news + b"\n\n"
                await asyncio.sleep(viewer.wait_s)
        finally:
            self._streams -= 1

    async def _news(self, request: Request, viewer: _Viewer) -> bytes | None:
        """Return what a viewer lacks, encoded; and note that it is sent."""
        deployment = deployments.read(self._places)
        if deployment is None or not deployment.challengers:
            return None
        try:
            shown = await self._shown(deployment, self._wanted(deployment, request))
        except ShadowserveError as error:
            return orjson.dumps({"trouble": str(error)})
        viewer.wait_s = max(shown.newest.due_in_s, 0.2)
        # A page that was written of this very picture has all of it.
        before = shown if viewer.tick == shown.tick else viewer.seen
        viewer.tick, viewer.seen = shown.tick, shown
        return shown.news(since=before)

    def _wanted(self, deployment: Deployment, request: Request) -> int | None:
        """Return the challenger asked for; None for the overview of several."""
        given = request.query_params.get("challenger") or None
        if given == ALL or (given is None and request.url.path != "/report.html"):
            if len(deployment.challengers) > 1:
                return None
            given = None
        return build.number_of(deployment, given)

    async def _shown(
        self, deployment: Deployment, wanted: int | None, *, wait: bool = True
    ) -> _Shown:
        """Return what a page shows now: laid out once, however many look."""
        numbers = list(deployment.numbers)
        asked = numbers if wanted is None else [wanted]
        look = self._board.latest if wait else self._board.at_hand
        found = [await look(deployment, number) for number in asked]
        steering = Steering(self._mark, paused=self._places.paused.exists())
        # Another process may pause lanes between two pictures.
        tick = "+".join((*(one.tick for one in found), *(["paused"] if steering.paused else [])))
        known = self._newest.get(wanted)
        if known is None or known.tick != tick:
            reports = [one.report for one in found]
            view = (
                pages.of_all(reports, numbers, steering)
                if wanted is None
                else pages.of_challenger(reports[0], numbers, steering)
            )
            self._newest[wanted] = known = _Shown(tick, view, found[-1])
        return known

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


@dataclass(slots=True)
class _Shown:
    """What a page shows at one tick, and what was told of it to those who had seen others."""

    tick: str
    view: View
    newest: Picture
    _told: dict[str, bytes] = field(default_factory=dict)

    def news(self, *, since: _Shown | None) -> bytes:
        """Return what is new to whoever has seen that, encoded; all of it to whoever has seen nothing."""
        before = since.tick if since is not None else ""
        if before not in self._told:
            had = since.view.parts if since is not None else {}
            parts = {name: one for name, one in self.view.parts.items() if had.get(name) != one}
            told = {"tick": self.tick, "every": self.newest.every_s, "title": self.view.title}
            self._told[before] = orjson.dumps({**told, "parts": parts})
        return self._told[before]


@dataclass(slots=True)
class _Viewer:
    """One who looks: what was sent last, and when there is more."""

    tick: str | None
    seen: _Shown | None = None
    wait_s: float = 1.0


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
