"""The limits on a request's head, in bytes and in seconds.

The fast parser under uvicorn keeps whatever has come of a header until it ends. A caller that never
ends one would fill the process's memory, and each further piece would hold up everybody else.
"""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shadowserve.errors import RequestError
from shadowserve.http.refusals import refusal

MAX_HEAD = 64 * 2**10
"""Bytes of a head, over the one piece that reaches it; h11, the other parser, has the same limit."""

PARTING_S = 1.0
"""How long idle connections are kept after a stop: a request may be on its way."""

PROTOCOL = "shadowserve.http.header_limit:BoundedHead"
"""As uvicorn finds it by name."""


class BoundedHead(HttpToolsProtocol):
    """uvicorn's protocol, which ends a connection that sends too much and gets no further.

    Getting further is the end of a head, a piece of a body, or the end of a request.
    """

    _further = False
    _in_vain = 0
    _since: float | None = None
    """Loop time since when a request's head is awaited; None in a request, and between two."""
    open: ClassVar[set[Any]] = set()

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._since = self.loop.time()
        BoundedHead.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        BoundedHead.open.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in bytes; answer 431 and hang up where too many of them lead nowhere."""
        self._further = False
        super().data_received(data)
        # Counted over pieces: a head that comes byte by byte must not be without end.
        self._in_vain = 0 if self._further else self._in_vain + len(data)
        if self._in_vain > MAX_HEAD and not self.transport.is_closing():
            self._refuse()

    def on_message_begin(self) -> None:
        """Note the beginning of a head."""
        super().on_message_begin()
        self._since = self.loop.time()

    @classmethod
    def hasten(cls, seconds: float) -> None:
        """Hang up on callers whose head takes longer; to be called now and then, on the event loop."""
        # A copy, since hanging up changes the set.
        for one in list(cls.open):
            if one._since is not None and one.loop.time() - one._since > seconds:
                one.give_up(seconds)

    def give_up(self, seconds: float) -> None:
        """Answer 408, and hang up."""
        self._since = None
        if not self.transport.is_closing():
            says = f"The request's head did not come within {seconds:g} s, the limit here."
            self._hang_up(RequestError(says, code="head_timeout", status=408))

    def shutdown(self) -> None:
        """Part with the caller: after the answer that it waits for, or for a request that is on its way."""
        # An idle connection may bring a request that was sent before its caller heard of the stop.
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(PARTING_S, self._part)
        else:
            super().shutdown()

    def _part(self) -> None:
        if not self.transport.is_closing():
            super().shutdown()

    def on_headers_complete(self) -> None:
        """Note the end of a head; a whole address in its first line says the host (RFC 9112, 3.2.2)."""
        self._further = True
        self._since = None
        # Proxies send the whole address, and its host goes before the header.
        if b"://" in self.url and not self.url.startswith(b"/"):
            self._take_host(self.url)
        super().on_headers_complete()

    def _take_host(self, url: bytes) -> None:
        host = url.partition(b"://")[2].partition(b"/")[0].partition(b"?")[0]
        self.headers[:] = [
            (b"host", host.rpartition(b"@")[2]),
            *(pair for pair in self.headers if pair[0] != b"host"),
        ]

    def on_body(self, body: bytes) -> None:
        """Note a piece of a body."""
        self._further = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note the end of a request."""
        self._further = True
        super().on_message_complete()

    def _refuse(self) -> None:
        says = f"The request's head is larger than {MAX_HEAD // 2**10} KiB, the limit here."
        self._hang_up(RequestError(says, code="head_too_large", status=431))

    def _hang_up(self, error: RequestError) -> None:
        request_id = uuid.uuid4().hex
        head = [(b"x-request-id", request_id.encode())]
        self.transport.write(refusal(error, request_id=request_id, head=head).raw())
        self.transport.close()
