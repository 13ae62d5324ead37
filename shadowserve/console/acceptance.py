"""`POST /accept` and `POST /withdraw`: a finding accepted from the console, or taken back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from shadowserve.console.board import Board
from shadowserve.console.callers import is_local, named
from shadowserve.console.responses import JSON, as_json, refused, response
from shadowserve.errors import RequestError, ShadowserveError, UnreadableError
from shadowserve.http.asgi import ClientGone, read_pieces
from shadowserve.http.refusals import steering_refusal
from shadowserve.report import accepting, build
from shadowserve.settings.spellings import duration
from shadowserve.state import acceptances
from shadowserve.state import deployment as deployments
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places
from shadowserve.wire import jsontext

MAX_BYTES = 64 * 1024
"""Of a body: a reason has a thousand characters."""
FIELDS = {
    "accept": ("challenger", "finding", "step", "columns", "reason", "until", "by"),
    "withdraw": ("challenger", "finding", "step", "columns", "reason", "by"),
}


class Acceptance:
    """Takes what a team says of findings.

    Parameters
    ----------
    places : Places
        The state directory.
    board : Board
        Has the report.
    guarded : bool
        Whether every caller has shown the token. Else only this machine is heard: what is accepted decides
        what is promoted.
    """

    def __init__(self, places: Places, board: Board, *, guarded: bool) -> None:
        self._places = places
        self._board = board
        self._guarded = guarded

    async def accept(self, request: Request) -> Response:
        """Accept a finding."""
        return await self._take(request, "accept")

    async def withdraw(self, request: Request) -> Response:
        """Take an acceptance back."""
        return await self._take(request, "withdraw")

    async def _take(self, request: Request, what: str) -> Response:
        try:
            asked = await self._asked(request, what)
        except RequestError as error:
            return response(steering_refusal(error))
        except ClientGone:
            return Response(status_code=400)
        deployment = deployments.read(self._places)
        if deployment is None:
            return refused("starting", "Nothing is served yet.", status=503)
        by = named(request, asked.get("by") or "")
        try:
            return as_json(await self._done(deployment, what, asked, by))
        except accepting.NotFoundError as error:
            return refused("no_such_finding", str(error), status=404)
        except accepting.AmbiguousError as error:
            return refused("several_findings", str(error), status=409)
        except UnreadableError as error:
            return refused("unreadable", str(error), status=503)
        except ShadowserveError as error:
            return refused("misuse", str(error), status=400)
        except OSError as error:
            told = f"The state directory cannot be written ({error.strerror}). Free space there and ask again."
            return refused("unwritable", told, status=503)

    async def _done(
        self, deployment: Deployment, what: str, asked: Mapping[str, Any], by: str
    ) -> dict[str, Any]:
        given = asked.get("challenger")
        number = build.number_of(deployment, None if given is None else str(given))
        wanted = accepting.Wanted(
            asked["finding"], asked.get("step"), tuple(asked.get("columns") or ())
        )
        say: Callable[..., acceptances.Acceptance]
        if what == "withdraw":
            say = partial(accepting.withdraw, reason=asked.get("reason") or "")
        else:
            seen = (await self._board.anew(deployment, number)).report
            say = partial(
                accepting.accept,
                reason=asked.get("reason") or "",
                lasts_s=_seconds(asked),
                report=seen,
            )
        said = await asyncio.to_thread(
            say, self._places, deployment, wanted, challenger=number, by=by
        )
        report = (await self._board.anew(deployment, number)).report
        return {**accepting.told(said), "verdict": report["verdict"]}

    async def _asked(self, request: Request, what: str) -> dict[str, Any]:
        """Return what is asked, its form checked."""
        if not (self._guarded or is_local(request)):
            told = "Without --token-file findings are accepted from this machine only."
            raise RequestError(told, code="not_local", status=403)
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media != JSON:  # a page of any site may send the rest unasked
            told = f"Send Content-Type: {JSON}."
            raise RequestError(told, code="unsupported_media_type", status=415)
        body = await read_pieces(request.receive, limit=MAX_BYTES, advice="Say it in short.")
        return _checked(body, FIELDS[what])


def _checked(body: bytes, fields: tuple[str, ...]) -> dict[str, Any]:
    asked = jsontext.loads(body, max_depth=3)
    if type(asked) is not dict or not asked.keys() <= set(fields):
        raise _bad(f"a JSON object with no other keys than {', '.join(fields)} is expected")
    for name in ("finding", "step", "reason", "until", "by"):
        if type(asked.get(name)) not in (str, type(None)):
            raise _bad(f"{name} is text")
    if not asked.get("finding"):
        raise _bad("finding is an id or a kind, as /report.json has it")
    if type(asked.get("challenger")) not in (int, str, type(None)):
        raise _bad("challenger is a version number, such as 4")
    columns = asked.get("columns")
    if columns is not None and not (type(columns) is list and all(type(c) is str for c in columns)):
        raise _bad("columns is a list of names")
    return asked


def _seconds(asked: Mapping[str, Any]) -> float | None:
    try:
        return None if asked.get("until") is None else duration(asked["until"])
    except ValueError as error:
        raise _bad(f"until is no duration: {error}") from None


def _bad(what: str) -> RequestError:
    return RequestError(f"Cannot be taken: {what}.", code="bad_request")
