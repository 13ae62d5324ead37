"""A client in one thread that sends at intended times, whether or not the last answer has come.

A response time counts from when its request was due, so a server that stalls is charged for everyone
who would have waited (no coordinated omission). `select` wakes within about 0.1 ms of a due time.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

PATIENCE_S = 60.0


class Connection:
    """One kept connection, with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0
        self._came = b""

    def send(self, request: bytes, due: float) -> None:
        """Send a whole request."""
        self.due, self._came = due, b""
        self.socket.sendall(request)

    def receive(self) -> tuple[int, int] | None:
        """Take in what came; return the status and the body's length once all is there."""
        piece = self.socket.recv(65_536)
        if not piece:
            raise ConnectionError("the server closed a connection in use")
        self._came += piece
        head, found, body = self._came.partition(b"\r\n\r\n")
        if not found:
            return None
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        return (int(head[9:12]), length) if len(body) >= length else None

    def close(self) -> None:
        """Hang up."""
        self.socket.close()


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


def drive(port: int, requests: Sequence[bytes], arrivals: NDArray[np.float64]) -> list[float]:
    """Send each request when it is due.

    Returns
    -------
    list of float
        Milliseconds from the intended start to the last byte, in the order of answers.

    Raises
    ------
    RuntimeError
        An answer was not 200: such a block measures nothing.
    """
    idle: list[Connection] = []
    busy: dict[socket.socket, Connection] = {}
    waiting = deque(zip((time.perf_counter() + arrivals).tolist(), requests, strict=True))
    spent: list[float] = []
    while waiting or busy:
        while waiting and waiting[0][0] <= time.perf_counter():
            due, request = waiting.popleft()
            connection = idle.pop() if idle else Connection(port)
            connection.send(request, due)
            busy[connection.socket] = connection
        for connection in _ready(busy, waiting[0][0] if waiting else None):
            told = connection.receive()
            if told is None:
                continue
            spent.append(1e3 * (time.perf_counter() - connection.due))
            if told[0] != 200:
                raise RuntimeError(f"the server answered {told[0]}")
            idle.append(busy.pop(connection.socket))
    for connection in idle:
        connection.close()
    return spent


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
        connection.send(waiting.popleft(), began)
    while busy:
        for connection in _ready(busy, None):
            if connection.receive() is None:
                continue
            if waiting:
                connection.send(waiting.popleft(), began)
            else:
                busy.pop(connection.socket).close()
    return len(requests) / (time.perf_counter() - began)
