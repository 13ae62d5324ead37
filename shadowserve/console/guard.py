"""Admission to the control plane, which asks a browser's user for the token as a password."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from shadowserve.console.responses import response
from shadowserve.http.admission import Admission
from shadowserve.http.refusals import steering_refusal
from shadowserve.settings.gate import Gate


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
        self._admission = Admission(gate, token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or say why not; a browser asks its user for the token as a password."""
        if scope["type"] == "http" and (error := self._admission.why_not(scope)) is not None:
            refused = _challenge() if error.status == 401 else response(steering_refusal(error))
            await refused(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _challenge() -> Response:
    head = {"www-authenticate": 'Basic realm="shadowserve", charset="UTF-8"'}
    says = "Send the token: Authorization: Bearer <token>, or as a password.\n"
    return Response(says, 401, head, "text/plain")
