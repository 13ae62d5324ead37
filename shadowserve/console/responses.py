"""The console's answers as Starlette sends them."""

from __future__ import annotations

from typing import Any

import orjson
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from shadowserve.errors import RequestError
from shadowserve.http.refusals import RefusalAnswer, steering_refusal

JSON = "application/json"
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_SAFE = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}


def response(refusal: RefusalAnswer) -> Response:
    """Return a refusal as a response."""
    head = {name.decode("latin-1"): value.decode("latin-1") for name, value in refusal.head}
    return Response(refusal.body, refusal.status, head, JSON)


def refused(code: str, message: str, *, status: int, **more: Any) -> Response:
    """Refuse with a code and a sentence, and what else is known."""
    return response(steering_refusal(RequestError(message, code=code, status=status), **more))


def as_json(value: Any, *, status: int = 200) -> Response:
    """Answer with a JSON value."""
    return as_encoded(orjson.dumps(value), status=status)


def as_encoded(value: bytes, *, status: int = 200) -> Response:
    """Answer with a JSON value that is encoded already."""
    return Response(value, status, media_type=JSON)


def as_html(text: str, *, status: int = 200) -> Response:
    """Return a page that loads from its own server alone and stands in no other page."""
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store", **_SAFE}
    return Response(text, status, headers, "text/html")


def as_text(exposition: bytes) -> Response:
    """Answer with series in Prometheus's text form."""
    return Response(exposition, media_type=CONTENT_TYPE_LATEST)


def as_asset(content: bytes, media_type: str) -> Response:
    """Return a style sheet or script; its address changes with it, so a browser may keep it."""
    headers = {"Cache-Control": "private, max-age=86400", **_SAFE}
    return Response(content, 200, headers, media_type)
