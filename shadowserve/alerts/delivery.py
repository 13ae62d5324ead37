"""The delivery of one message: one POST, bounded in time and in what is read of the answer.

No redirect is followed: an address that leads elsewhere may lead anywhere. Nothing is retried here. The
answer's body is not read.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, urlsplit

CONNECT_S = 5.0
WHOLE_S = 10.0
"""How long one delivery may take from the connection on, however slowly the receiver drips its answer."""
LONGEST_WAIT_S = 3_600.0
"""The most that a receiver may ask to be left alone for."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a delivery.

    Parameters
    ----------
    taken : bool
        Whether the receiver said that it took it: a 2xx.
    says : str
        In words that hold neither the address's path nor anything that the receiver said.
    status : int or None
        None where there was no answer.
    wait_s : float
        How long the receiver asked to be left alone; 0 if it did not.
    """

    taken: bool
    says: str
    status: int | None = None
    wait_s: float = 0.0


def deliver(webhook: str, body: bytes, *, message_id: str, whole_s: float = WHOLE_S) -> Outcome:
    """Post a message once, and return what came of it; nothing is raised.

    Parameters
    ----------
    webhook : str
        An http or https address; its name is looked up in the system's own time.
    body : bytes
        JSON.
    message_id : str
        Goes along as ``Idempotency-Key``.
    whole_s : float
        Seconds after which the connection is cut.
    """
    parts = urlsplit(webhook)
    cut = threading.Event()
    try:
        with _connected(parts, whole_s, cut) as connection:
            head = {
                "Content-Type": "application/json",
                "User-Agent": "shadowserve",
                "Idempotency-Key": message_id,
                "Connection": "close",
            }
            connection.request("POST", _target(parts), body, head)
            answer = connection.getresponse()
            return _read(answer.status, answer.getheader("Retry-After"))
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Outcome(taken=False, says=_NO_ANSWER if cut.is_set() else _why(error))


@contextmanager
def _connected(
    parts: SplitResult, seconds: float, cut: threading.Event
) -> Iterator[http.client.HTTPConnection]:
    """Yield a connection that is cut after some time, whatever it waits for then.

    A limit on each read alone would let an answer of one byte a second go on for days.
    """
    host = parts.hostname or ""
    secure = parts.scheme == "https"
    made = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = made(host, parts.port)
    sock = socket.create_connection((host, connection.port), timeout=CONNECT_S)
    # Securing it takes the socket over, and only a second handle reaches it meanwhile.
    handle = sock.dup()
    timer = threading.Timer(seconds, _cut, (handle, cut))
    timer.daemon = True
    timer.start()
    try:
        sock.settimeout(seconds)
        if secure:
            sock = ssl.create_default_context().wrap_socket(sock, server_hostname=host)
        connection.sock = sock
        yield connection
    finally:
        timer.cancel()
        sock.close()
        handle.close()


def _cut(handle: socket.socket, cut: threading.Event) -> None:
    cut.set()
    with contextlib.suppress(OSError):
        handle.shutdown(socket.SHUT_RDWR)


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _read(status: int, retry_after: str | None) -> Outcome:
    if 200 <= status < 300:
        return Outcome(taken=True, says=f"taken ({status})", status=status)
    wait_s = _seconds(retry_after) if status in (429, 503) else 0.0
    return Outcome(taken=False, says=f"the receiver answered {status}{_ADVICE.get(status, '')}", status=status, wait_s=wait_s)  # fmt: skip


_ADVICE = {
    **dict.fromkeys((301, 302, 303, 307, 308), ", which leads elsewhere: write the address that it leads to"),
    **dict.fromkeys((401, 403), ": the address's secret is wrong, or no longer valid"),
    **dict.fromkeys((404, 410), ": there is no such webhook"),
    400: ": it expects another shape",
    429: ": it asks for fewer messages",
}  # fmt: skip


_NO_ANSWER = "no answer in time"


def _seconds(retry_after: str | None) -> float:
    """Return how long a receiver asks to be left alone, in seconds, as far as that is believed.

    Examples
    --------
    >>> _seconds("120"), _seconds("1e9"), _seconds("soon"), _seconds("-5"), _seconds(None)
    (120.0, 0.0, 0.0, 0.0, 0.0)
    >>> _seconds("99999999")
    3600.0
    """
    given = (retry_after or "").strip()
    if given.isascii() and given.isdigit():
        return min(float(given[:12]), LONGEST_WAIT_S)
    try:
        until = parsedate_to_datetime(given)
    except (ValueError, TypeError, OverflowError):
        return 0.0
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    left_s = (until - datetime.fromtimestamp(time.time(), UTC)).total_seconds()
    return min(max(left_s, 0.0), LONGEST_WAIT_S)


def _why(error: Exception) -> str:
    """Say why there was no answer, by the error's kind: its text may quote the address."""
    if isinstance(error, TimeoutError):
        return _NO_ANSWER
    if isinstance(error, ssl.SSLError):
        return f"no secure connection ({error.reason or type(error).__name__})"
    if isinstance(error, socket.gaierror):
        return "its host is not known"
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(error, http.client.RemoteDisconnected | ConnectionError):
        return "the connection ended without an answer"
    if isinstance(error, http.client.HTTPException):
        return f"its answer is no HTTP ({type(error).__name__})"
    return f"it cannot be reached ({getattr(error, 'strerror', None) or type(error).__name__})"
