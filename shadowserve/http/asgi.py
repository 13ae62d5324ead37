"""One request through ASGI: its body read whole and bounded, its id, its answer sent.

Limits hold before anything is parsed. What a caller sends in pieces is put together here once; both
versions get these bytes.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

from shadowserve.errors import RequestError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Head = list[tuple[bytes, bytes]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_ID_LENGTH = 256
SMALL_BODY = 64 * 2**10
FEWER_ROWS = "Send fewer rows at a time."
MAX_HELD = 128 * 2**20
"""Bytes of large bodies that one worker has in hand at once."""


class ClientGone(Exception):  # noqa: N818 - an event, not a fault
    """The client closed the connection before its request was whole."""


class Crowded(Exception):  # noqa: N818 - a state, not a fault
    """All callers' bodies together are larger than what may be in hand; this one is to come back."""


class BodyBudget:
    """The account of all callers' bodies together, from their first pieces until they are in line.

    Without it, callers that upload slowly or never finish could exhaust memory. Small bodies' bytes
    are not counted: they are never turned away for others' large ones.

    Parameters
    ----------
    most : int
        Bytes. A body that is alone may be larger.
    most_bodies : int, optional
        Bodies of any size; not bounded unless given.
    """

    def __init__(self, most: int, *, most_bodies: int | None = None) -> None:
        self.most = most
        self.held = 0
        self._most_bodies = most_bodies
        self._bodies = 0

    @contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """Yield what tells a request's size so far; at the end it is let go.

        Raises
        ------
        Crowded
            Where there is no room beside the others: at once for one body more, or later for its bytes.
        """
        if self._most_bodies is not None and self._bodies >= self._most_bodies:
            raise Crowded
        mine = 0

        def hold(size: int) -> None:
            nonlocal mine
            # Its own bytes so far are counted within the new size.
            others = self.held - mine
            if others and others + size > self.most:
                raise Crowded
            self.held, mine = others + size, size

        self._bodies += 1
        try:
            yield hold
        finally:
            self._bodies -= 1
            self.held -= mine


async def read_body(
    headers: Mapping[bytes, bytes],
    receive: Receive,
    *,
    limit: int,
    hold: Callable[[int], None] = lambda _: None,
    timeout_s: float | None = None,
) -> bytes:
    """Read a request's whole body.

    Parameters
    ----------
    headers : mapping
        The request's, names in lower case.
    limit : int
        Bytes. No more is read.
    hold : callable
        Told the bytes that came, once they are more than `SMALL_BODY`; may refuse them.
    timeout_s : float, optional
        How long the whole body may take.

    Raises
    ------
    RequestError
        413 beyond the limit; 408 beyond the time; 415 for what is compressed, or binary beside its JSON.
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
    # Refused before a byte is read. What comes is counted all the same: not every body declares a length.
    declared = headers.get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    if _is_here(receive):
        timeout_s = None  # a timer costs more than reading
    try:
        if timeout_s is None:
            return await read_pieces(receive, limit=limit, hold=hold)
        async with asyncio.timeout(timeout_s):
            return await read_pieces(receive, limit=limit, hold=hold)
    except TimeoutError:
        raise body_timeout(timeout_s or 0.0) from None


async def read_pieces(
    receive: Receive,
    *,
    limit: int,
    hold: Callable[[int], None] = lambda _: None,
    advice: str = FEWER_ROWS,
) -> bytes:
    """Put a body together, whatever its headers say; as `read_body` otherwise.

    Parameters
    ----------
    advice : str
        What to do where the body is too large.

    Raises
    ------
    RequestError
        413 beyond the limit.
    ClientGone
    """
    pieces = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece = message.get("body", b"")
        if len(pieces) + len(piece) > limit:
            raise _too_large(limit, advice)
        if not message.get("more_body"):
            # Nearly every body comes in one piece, which is not copied.
            return bytes(pieces + piece) if pieces else bytes(piece)
        pieces += piece
        if len(pieces) > SMALL_BODY:
            hold(len(pieces))


def _is_here(receive: Receive) -> bool:
    """Tell whether the whole body has come already, as uvicorn knows."""
    return getattr(getattr(receive, "__self__", None), "more_body", True) is False


def body_timeout(seconds: float) -> RequestError:
    """Return the refusal of a body that does not come."""
    return RequestError(
        f"The body did not come within {seconds:g} s, the limit here.",
        code="body_timeout",
        status=408,
    )


def _too_large(limit: int, advice: str = FEWER_ROWS) -> RequestError:
    return RequestError(
        f"The body is larger than {limit / 2**20:g} MiB, the limit here. {advice}",
        code="too_large",
        status=413,
    )


class _Ids:
    """New ids: a random half for each process, and a number. A random one each would ask the kernel."""

    def __init__(self) -> None:
        self._half, self._numbers = secrets.token_hex(8), itertools.count()

    def next(self) -> str:
        return f"{self._half}{next(self._numbers):016x}"

    renew = __init__


_IDS = _Ids()
os.register_at_fork(after_in_child=_IDS.renew)


def new_id() -> str:
    """Return an id that no other request has, of 32 hexadecimal digits."""
    return _IDS.next()


def request_id_of(given: bytes | None) -> str:
    """Return the caller's id if it is a sane header value, else a new one."""
    # It is echoed in a header and written to the journal, so it must fit both.
    if given and len(given) <= MAX_ID_LENGTH and given.isascii():
        return given.decode("ascii")
    return new_id()


async def answer(
    send: Send,
    status: int,
    body: bytes,
    head: Head,
    *,
    content_type: bytes = b"application/json",
) -> None:
    """Send a whole answer."""
    head += [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


def bearing(send: Send, head: Head) -> Send:
    """Return a `send` whose answer bears headers that it may not bear by itself."""

    async def sent(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            own = list(message.get("headers", ()))
            # What the application set by itself holds; a second one would contradict it.
            names = {bytes(name).lower() for name, _ in own}
            message["headers"] = [*own, *(pair for pair in head if pair[0] not in names)]
        await send(message)

    return sent


def is_gone(receive: Receive) -> bool:
    """Tell whether the caller closed the connection; uvicorn silently drops an answer to it."""
    return bool(getattr(getattr(receive, "__self__", None), "disconnected", False))
