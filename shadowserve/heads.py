"""A bound on what a caller may send around a request's body: its head, and what trails it.

The fast parser under uvicorn keeps whatever has come of a header until it ends. A caller that never
ends one would fill the process's memory, and each further piece would hold up everybody else.
"""

from __future__ import annotations

import uuid

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from shadowserve.wire.answers import error_body

MAX_HEAD = 64 * 2**10
"""Bytes of a head, over the one piece that reaches it; h11, the other parser, has the same limit."""

PROTOCOL = "shadowserve.heads:BoundedHead"
"""As uvicorn finds it by name."""


class BoundedHead(HttpToolsProtocol):
    """uvicorn's protocol, which ends a connection that sends too much and gets no further.

    Getting further is the end of a head, a piece of a body, or the end of a request.
    """

    _further = False
    _in_vain = 0

    def data_received(self, data: bytes) -> None:
        """Take in what has come; answer 431 and hang up where it leads nowhere."""
        self._further = False
        super().data_received(data)
        self._in_vain = 0 if self._further else self._in_vain + len(data)
        if self._in_vain > MAX_HEAD and not self.transport.is_closing():
            self._refuse()

    def on_headers_complete(self) -> None:
        """Note the end of a head; a whole address in its first line says the host (RFC 9112, 3.2.2)."""
        self._further = True
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
        request_id = uuid.uuid4().hex
        says = f"The request's head is larger than {MAX_HEAD // 2**10} KiB, the limit here."
        body = error_body("head_too_large", says, request_id=request_id)
        head = (
            f"content-type: application/json\r\nx-request-id: {request_id}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(STATUS_LINE[431] + head.encode() + body)
        self.transport.close()
