"""Asks callers of the control plane for the token; only a health probe needs none."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from shadowserve import tokens


class Guard:
    """Stands in front of the control plane's application.

    Parameters
    ----------
    app : ASGI application
    token : bytes or None
        None lets everybody in, which is for loopback only.
    """

    def __init__(self, app: ASGIApp, token: bytes | None) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 401; a browser asks its user for the token as a password."""
        if scope["type"] == "http" and scope["path"] not in tokens.OPEN_PATHS:
            given = dict(scope["headers"]).get(b"authorization")
            if not tokens.admits(self._token, given):
                head = {"www-authenticate": 'Basic realm="shadowserve", charset="UTF-8"'}
                told = "Send the token: Authorization: Bearer <token>, or as a password.\n"
                await Response(told, 401, head, "text/plain")(scope, receive, send)
                return
        await self._app(scope, receive, send)
