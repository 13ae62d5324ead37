"""Refusals as HTTP answers: status, headers and body, made in one place, whoever refuses.

A worker sends them through ASGI, the console through Starlette. Where there is no application yet
or any more, they are written to the socket as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

from shadowserve.errors import RequestError
from shadowserve.http.asgi import Head, Send, answer
from shadowserve.wire.refusals import OBJECT, RefusalForm, brief

_COME_BACK = frozenset({"overloaded", "not_ready"})
"""Codes of what passes by itself."""
_HANG_UP = frozenset({408, 431})
"""Statuses after which the rest of the request would still come."""
_CLOSE = (b"connection", b"close")


@dataclass(frozen=True, slots=True)
class RefusalAnswer:
    """An answer that refuses.

    Parameters
    ----------
    status : int
    head : list of (name, value)
        Without the content's type and length.
    body : bytes
        JSON.
    """

    status: int
    head: Head
    body: bytes

    async def sent(self, send: Send) -> None:
        """Send it through ASGI."""
        await answer(send, self.status, self.body, self.head)

    def raw(self) -> bytes:
        """Return it as it is written to a connection that is closed afterwards."""
        return raw_answer(self.status, self.body, self.head)


def refusal(
    error: RequestError,
    form: RefusalForm = OBJECT,
    *,
    request_id: str = "",
    head: Iterable[tuple[bytes, bytes]] = (),
) -> RefusalAnswer:
    """Return the answer that refuses a request, in the form of its protocol.

    Parameters
    ----------
    error : RequestError
        Says the status, and in words what is wrong.
    form : RefusalForm
    request_id : str
        Empty where the request has none.
    head : iterable of (name, value)
        What the answer bears besides; when to come back, and that the connection is closed, is added.

    Examples
    --------
    >>> refusal(RequestError("Too much is in hand.", code="overloaded", status=503)).head
    [(b'retry-after', b'1')]
    """
    return RefusalAnswer(error.status, _head(error, head), form.write(error, request_id))


def steering_refusal(error: RequestError, **more: object) -> RefusalAnswer:
    """Return the console's refusal, with what else is known, such as the faults by place."""
    return RefusalAnswer(error.status, _head(error, ()), brief(error, **more))


def _head(error: RequestError, borne: Iterable[tuple[bytes, bytes]]) -> Head:
    head = list(borne)
    if error.code in _COME_BACK:
        head.append((b"retry-after", b"1"))
    # What is left of that request would be read as the next one.
    if error.status in _HANG_UP and _CLOSE not in head:
        head.append(_CLOSE)
    return head


def raw_answer(status: int, body: bytes, head: Iterable[tuple[bytes, bytes]]) -> bytes:
    r"""Return an answer of HTTP/1.1 that is the last one of its connection.

    Examples
    --------
    >>> raw_answer(200, b"{}", [])[:17]
    b'HTTP/1.1 200 OK\r\n'
    """
    length = str(len(body)).encode()
    told = (*head, (b"content-type", b"application/json"), (b"content-length", length))
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()]
    # The last line says it for all; twice would be two headers.
    lines += [name + b": " + value for name, value in told if (name, value) != _CLOSE]
    return b"\r\n".join((*lines, b"connection: close", b"", body))
