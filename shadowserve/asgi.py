"""ASGI's side of a request: its body read whole and bounded, its id, and an answer sent.

Limits hold before anything is parsed. What a caller sends in pieces is put together here once; both
versions get these bytes.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from shadowserve.errors import RequestError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_ID_LENGTH = 256


class ClientGone(Exception):  # noqa: N818 - an event, not a fault
    """The client closed the connection before its request was whole."""


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, *, limit: int) -> bytes:
    """Read a request's whole body.

    Parameters
    ----------
    headers : mapping
        The request's, names in lower case.
    limit : int
        Bytes. No more is read.

    Raises
    ------
    RequestError
        413 beyond the limit; 415 for what is compressed, or binary beside its JSON.
    ClientGone
    """
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise RequestError(
            "Compressed bodies are not taken; send the body as it is.",
            code="content_encoding",
            status=415,
        )
    if b"inference-header-content-length" in headers:
        raise RequestError(
            "The binary data extension is not spoken here; send data as JSON "
            "(binary_data=False in tritonclient).",
            code="unsupported_media_type",
            status=415,
        )
    declared = headers.get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    pieces = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece = message.get("body", b"")
        if len(pieces) + len(piece) > limit:
            raise _too_large(limit)
        if not message.get("more_body"):
            return bytes(pieces + piece) if pieces else bytes(piece)
        pieces += piece


def _too_large(limit: int) -> RequestError:
    return RequestError(
        f"The body is larger than {limit / 2**20:g} MiB, the limit here. Send fewer rows at a time.",
        code="too_large",
        status=413,
    )


def request_id_of(given: bytes | None) -> str:
    """Return the caller's id if it is a sane header value, else a new one."""
    if given and len(given) <= MAX_ID_LENGTH and given.isascii():
        return given.decode("ascii")
    return uuid.uuid4().hex


async def answer(
    send: Send,
    status: int,
    body: bytes,
    head: list[tuple[bytes, bytes]],
    *,
    content_type: bytes = b"application/json",
) -> None:
    """Send a whole answer."""
    head += [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


def is_gone(receive: Receive) -> bool:
    """Tell whether the caller closed the connection; uvicorn drops what is sent to it in silence."""
    return bool(getattr(getattr(receive, "__self__", None), "disconnected", False))
