"""The control plane's routes. It reads the state directory; nothing on the data plane waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shadowserve import deployment as deployments
from shadowserve import ledger, report
from shadowserve.deployment import Deployment
from shadowserve.errors import ShadowserveError
from shadowserve.places import Places


class Console:
    """Answers for one state directory.

    Parameters
    ----------
    places : Places
        The state directory.
    """

    def __init__(self, places: Places) -> None:
        self._places = places

    def app(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/livez", self.live),
                Route("/readyz", self.live),
                Route("/status.json", self.status),
                Route("/report.json", self.report),
                Route("/pause", self.pause, methods=["POST"]),
                Route("/resume", self.resume, methods=["POST"]),
            ]
        )

    async def live(self, _request: Request) -> Response:
        """Say that the control plane answers."""
        return _json({"alive": True})

    async def status(self, _request: Request) -> Response:
        """Return the ledger."""
        return await self._told(lambda deployment: ledger.read(self._places, deployment).to_dict())

    async def report(self, request: Request) -> Response:
        """Return one challenger's report; ``?challenger=4`` picks it."""
        wanted = request.query_params.get("challenger")
        return await self._told(
            lambda deployment: report.build(
                self._places, deployment, challenger=report.number_of(deployment, wanted)
            )
        )

    async def pause(self, _request: Request) -> Response:
        """Let lanes skip what comes."""
        self._places.paused.touch(mode=0o600)
        return _json({"paused": True})

    async def resume(self, _request: Request) -> Response:
        """Let lanes go on, and try degraded ones again."""
        self._places.paused.unlink(missing_ok=True)
        self._places.resume.touch(mode=0o600)
        return _json({"paused": False})

    async def _told(self, tell: Callable[[Deployment], Any]) -> Response:
        """Read and compute off the loop, so that health checks are never held up."""
        deployment = deployments.read(self._places)
        if deployment is None:
            return _json(
                {"error": {"code": "starting", "message": "Nothing is served yet."}}, status=503
            )
        try:
            return _json(await asyncio.to_thread(tell, deployment))
        except ShadowserveError as error:
            return _json({"error": {"code": "misuse", "message": str(error)}}, status=400)


def _json(value: Any, *, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status_code=status, media_type="application/json")
