"""One small request and its answer on a connection, without an ASGI application between them.

An ASGI server makes a task, an event and some messages of each request. Where the whole of a request
fits in one piece and its answer in another, that costs more than reading and writing them.
"""

from __future__ import annotations

import time
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from shadowserve.http.asgi import Head
from shadowserve.http.known_heads import KnownHeads

_CLOSE = (b"connection", b"close")


_first: tuple[Any, bytes] = ((), b"")


def _first_lines(default_headers: Any) -> bytes:
    """Return what every 200 begins with, up to the id; uvicorn makes a new list each second."""
    global _first
    if _first[0] is not default_headers:
        lines = [STATUS_LINE[200]]
        for name, value in default_headers:
            lines += (name, b": ", value, b"\r\n")
        _first = default_headers, b"".join((*lines, b"x-request-id: "))
    return _first[1]


class Taker(Protocol):
    """Who answers exchanges; none of its methods raises.

    Attributes
    ----------
    heads : KnownHeads
        Of requests that it has claimed, and would claim again.
    """

    heads: KnownHeads

    def claim(self, url: bytes, headers: Head) -> Any:
        """Return what is to be known of a request; None to leave it to the application."""

    def again(self, claim: Any) -> Any:
        """Claim a request whose head is, byte for byte, that of an earlier one."""

    def whole(self, exchange: Exchange) -> None:
        """Take a request whose body has come; the answer may come later, on the event loop."""

    def gone(self, exchange: Exchange) -> None:
        """Note that the caller left before its body had come."""

    def late(self, exchange: Exchange, seconds: float) -> None:
        """Refuse a request whose body does not come."""


class Exchange:
    """Stands where uvicorn's protocol keeps a request's cycle, and has what the protocol touches of one.

    Parameters
    ----------
    connection : HttpToolsProtocol
    taker : Taker
    claim : object
        What `taker` said of the request.
    keep_alive : bool
        Whether the connection outlives the answer.
    """

    __slots__ = (
        "body", "claim", "connection", "disconnected", "keep_alive", "more_body",
        "response_complete", "since_s", "taker",
    )  # fmt: skip

    def __init__(self, connection: Any, taker: Taker, claim: Any, *, keep_alive: bool) -> None:
        self.connection = connection
        self.taker = taker
        self.claim = claim
        self.keep_alive = keep_alive
        self.body: bytes | bytearray = bytearray()
        self.more_body = True
        self.disconnected = False
        self.response_complete = False
        self.since_s = time.monotonic()

    @property
    def message_event(self) -> Exchange:
        """What uvicorn sets when something has come; nobody waits for it."""
        return self

    def set(self) -> None:
        """Wake nobody."""

    def answer_usual(self, request_id: str, head: bytes, body: bytes) -> None:
        """Write a 200 of which only the id and the body are the request's own; as `answer` otherwise.

        Parameters
        ----------
        request_id : str
            Latin-1.
        head : bytes
            `AnswerHead.usual`.
        """
        self.response_complete = True
        connection = self.connection
        transport = connection.transport
        if self.disconnected or transport.is_closing():
            return
        first = _first_lines(connection.server_state.default_headers)
        told = request_id.encode("latin-1", "replace")
        transport.write(b"%b%b%b%d\r\n\r\n%b" % (first, told, head, len(body), body))
        connection.on_response_complete()

    def answer(self, status: int, body: bytes, head: Head) -> None:
        """Write a whole answer at once, unless the caller has gone."""
        self.response_complete = True
        connection = self.connection
        transport = connection.transport
        if self.disconnected or transport.is_closing():
            return
        if _CLOSE in head:
            self.keep_alive = False
        elif not self.keep_alive:
            head.append(_CLOSE)
        lines = [STATUS_LINE[status]]
        for name, value in (*connection.server_state.default_headers, *head):
            lines += (name, b": ", value, b"\r\n")
        lines += (
            b"content-type: application/json\r\ncontent-length: ",
            str(len(body)).encode(), b"\r\n\r\n", body,
        )  # fmt: skip
        transport.write(b"".join(lines))
        if not self.keep_alive:
            transport.close()
        connection.on_response_complete()
