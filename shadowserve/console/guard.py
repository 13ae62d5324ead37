"""Lets callers of the control plane in: by the server's own name, from no other site, with the token.

Only a health probe needs none of it.
"""

from __future__ import annotations

import orjson
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from shadowserve.http import tokens
from shadowserve.settings.gate import OPEN_PATHS, Gate


class Guard:
    """Stands in front of the control plane's application.

    Parameters
    ----------
    app : ASGI application
    token : bytes or None
        None lets everybody in, which is for loopback only.
    gate : Gate, optional
        Turns away pages of other sites and callers that ask for another host.
    """

    def __init__(self, app: ASGIApp, token: bytes | None, gate: Gate | None = None) -> None:
        self._app = app
        self._token = token
        self._gate = gate or Gate()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or say why not; a browser asks its user for the token as a password.

        Pages come first: a browser sends the password that it remembers for any of them.
        """
        if scope["type"] == "http" and (refused := self._refusal(scope)) is not None:
            await refused(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        if (turned := self._gate.why_not(scope)) is not None:
            told = orjson.dumps({"error": {"code": turned.code, "message": turned.message}})
            return Response(told, turned.status, media_type="application/json")
        given = dict(scope["headers"]).get(b"authorization")
        if scope["path"] in OPEN_PATHS or tokens.admits(self._token, given):
            return None
        head = {"www-authenticate": 'Basic realm="shadowserve", charset="UTF-8"'}
        says = "Send the token: Authorization: Bearer <token>, or as a password.\n"
        return Response(says, 401, head, "text/plain")
