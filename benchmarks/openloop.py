"""A client in one thread that sends at intended times, whether or not the last answer has come.

There is always a free connection, so no request waits for another's answer (no coordinated omission).
A response time counts from when the request was sent until the kernel had the answer's last byte. What
the client itself adds, since it woke late or read late, is no server's fault on a machine with few
cores, and is told apart: how much later than due it sent, and than there it read.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PATIENCE_S = 60.0
_TIMESTAMPING = 37
"""Linux: SO_TIMESTAMPING, and the type of the message that brings the time of receipt."""
_RECEIVED_BY_SOFTWARE = 1 << 3 | 1 << 4
_TIMES = struct.Struct("6q")


class Connection:
    """One kept connection, with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, _TIMESTAMPING, _RECEIVED_BY_SOFTWARE)
        self.sent_ns = self.there_ns = 0
        self._came = b""

    def send(self, request: bytes) -> None:
        """Send a whole request."""
        self._came = b""
        self.sent_ns = time.time_ns()
        self.socket.sendall(request)

    def receive(self) -> tuple[int, int] | None:
        """Take in what came; return the status and the body's length once all is there."""
        piece, told, _, _ = self.socket.recvmsg(65_536, 256)
        if not piece:
            raise ConnectionError("the server closed a connection in use")
        self.there_ns = _received_ns(told)
        self._came += piece
        head, found, body = self._came.partition(b"\r\n\r\n")
        if not found:
            return None
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        return (int(head[9:12]), length) if len(body) >= length else None

    def close(self) -> None:
        """Hang up."""
        self.socket.close()


def _received_ns(told: Sequence[tuple[int, int, bytes]]) -> int:
    """When the kernel had what was read; now, where it does not say."""
    for level, kind, data in told:
        if (level, kind) == (socket.SOL_SOCKET, _TIMESTAMPING) and len(data) >= _TIMES.size:
            seconds, nanoseconds, *_ = _TIMES.unpack_from(data)
            if seconds:
                return int(seconds * 10**9 + nanoseconds)
    return time.time_ns()


@dataclass(frozen=True, slots=True)
class Driven:
    """What a run of requests took, each in ms, in the order of answers.

    Parameters
    ----------
    spent : list of float
        From sending to the answer's receipt by the kernel.
    late, unread : list of float
        The client's own: how long after it was due a request was sent, and how long after its receipt
        an answer was read.
    """

    spent: list[float]
    late: list[float]
    unread: list[float]


def post(body: bytes, request_id: str) -> bytes:
    """Return a whole HTTP request to `/invocations`."""
    head = (
        "POST /invocations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"X-Request-Id: {request_id}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def poisson(n: int, *, rate: float, seed: int) -> NDArray[np.float64]:
    """Return arrival times in seconds from the start, of `n` requests at a mean rate per second."""
    return np.cumsum(np.random.default_rng(seed).exponential(1.0 / rate, n))


def drive(port: int, requests: Sequence[bytes], arrivals: NDArray[np.float64]) -> Driven:
    """Send each request when it is due.

    Raises
    ------
    RuntimeError
        An answer was not 200: such a block measures nothing.
    """
    idle: list[Connection] = []
    busy: dict[socket.socket, Connection] = {}
    waiting = deque(zip((time.perf_counter() + arrivals).tolist(), requests, strict=True))
    driven = Driven([], [], [])
    while waiting or busy:
        while waiting and waiting[0][0] <= time.perf_counter():
            due, request = waiting.popleft()
            connection = idle.pop() if idle else Connection(port)
            driven.late.append(1e3 * (time.perf_counter() - due))
            connection.send(request)
            busy[connection.socket] = connection
        for connection in _ready(busy, waiting[0][0] if waiting else None):
            told = connection.receive()
            if told is None:
                continue
            driven.spent.append((connection.there_ns - connection.sent_ns) / 1e6)
            driven.unread.append((time.time_ns() - connection.there_ns) / 1e6)
            if told[0] != 200:
                raise RuntimeError(f"the server answered {told[0]}")
            idle.append(busy.pop(connection.socket))
    for connection in idle:
        connection.close()
    return driven


def _ready(busy: dict[socket.socket, Connection], until: float | None) -> Iterator[Connection]:
    pause = PATIENCE_S if until is None else max(0.0, until - time.perf_counter())
    readable, _, _ = select.select(list(busy), [], [], pause)
    if not readable and until is None:
        raise TimeoutError(f"no answer within {PATIENCE_S:g} s")
    yield from (busy[each] for each in readable)


def capacity(port: int, requests: Sequence[bytes], *, clients: int) -> float:
    """Return requests per second of a closed loop: each connection sends once it was answered."""
    connections = [Connection(port) for _ in range(clients)]
    busy = {each.socket: each for each in connections}
    waiting = deque(requests)
    began = time.perf_counter()
    for connection in connections:
        connection.send(waiting.popleft())
    while busy:
        for connection in _ready(busy, None):
            if connection.receive() is None:
                continue
            if waiting:
                connection.send(waiting.popleft())
            else:
                busy.pop(connection.socket).close()
    return len(requests) / (time.perf_counter() - began)
