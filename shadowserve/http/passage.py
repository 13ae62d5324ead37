"""Two wrappers of a port's application: one takes off a path prefix, one admits pages of allowed origins (CORS)."""

from __future__ import annotations

from shadowserve.http.asgi import App, Receive, Scope, Send, bearing
from shadowserve.settings.gate import Gate

_KEPT_S = b"600"
"""How long a browser need not ask again."""
_TOLD = b"x-request-id, x-shadowserve-model, x-shadowserve-nonfinite, retry-after"


class Prefixed:
    """Takes a prefix off each path, where a proxy has left it there.

    Parameters
    ----------
    app : ASGI application
    prefix : str
        Begins with a slash and ends with none.
    """

    def __init__(self, app: App, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on under the path without the prefix; a path that has none is passed on as it is."""
        path = scope.get("path", "")
        # "/ml" is no prefix of "/mlops", so the slash counts.
        if path == self._prefix or path.startswith(f"{self._prefix}/"):
            scope = {**scope, "path": path.removeprefix(self._prefix) or "/"}
        await self._app(scope, receive, send)


class Crossing:
    """Lets pages of allowed origins read what they asked for (CORS); only with such is it needed.

    Parameters
    ----------
    app : ASGI application
    gate : Gate
        Knows the origins.
    """

    def __init__(self, app: App, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a browser's question whether it may ask; else pass on, and let the page read it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        if origin is None or not self._gate.allows(origin):
            # No cache may keep this answer for a page that is allowed.
            await self._app(scope, receive, bearing(send, [(b"vary", b"Origin")]))
            return
        let_in = [(b"access-control-allow-origin", origin), (b"vary", b"Origin")]
        wanted = headers.get(b"access-control-request-headers", b"content-type")
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            head = [
                *let_in,
                (b"access-control-allow-methods", b"GET, HEAD, POST"),
                (b"access-control-allow-headers", wanted),
                (b"access-control-max-age", _KEPT_S),
                (b"content-length", b"0"),
            ]
            # Answered here: a preflight bears no token, and must reach nothing that asks for one.
            await send({"type": "http.response.start", "status": 204, "headers": head})
            await send({"type": "http.response.body", "body": b""})
            return
        let_in.append((b"access-control-expose-headers", _TOLD))
        await self._app(scope, receive, bearing(send, let_in))
