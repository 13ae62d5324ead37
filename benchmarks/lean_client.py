"""A closed-loop HTTP client that costs little: bare sockets, one poll for all, fair to its connections.

Each connection sends its next request as soon as it has its answer, in the order in which answers
come. A client that costs as much as the server would hide what the server costs.

Prints one JSON line: requests, statuses, requests per second, and latency quantiles in ms.
``python -m benchmarks.lean_client URL BODIES_FILE --clients 64 --requests 5000``
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import time
from collections import Counter
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import numpy as np

PATIENCE_S = 60


def drive(url: str, bodies: Sequence[bytes], *, clients: int, requests: int) -> dict[str, object]:
    """Send requests over some connections and time each from its sending to its last byte.

    Raises
    ------
    RuntimeError
        If the server closes a connection, or is silent for a minute.
    """
    parts = urlsplit(url)
    queue = islice(cycle([_request(parts, body) for body in bodies]), requests)
    poll = select.epoll()
    spent: list[int] = []
    statuses: Counter[int] = Counter()
    connections: dict[int, socket.socket] = {}
    since: dict[int, int] = {}
    came: dict[int, bytes] = {}
    for _ in range(min(clients, requests)):
        connection = socket.create_connection((str(parts.hostname), parts.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connections[connection.fileno()] = connection
        poll.register(connection, select.EPOLLIN)
    began = time.perf_counter()
    for number, connection in connections.items():
        since[number] = time.perf_counter_ns()
        connection.sendall(next(queue))
    while connections:
        ready = poll.poll(PATIENCE_S)
        if not ready:
            raise RuntimeError(f"{url} was silent for {PATIENCE_S} s")
        for number, _ in ready:
            connection = connections[number]
            piece = connection.recv(1 << 20)
            if not piece:
                raise RuntimeError(f"{url} closed a connection")
            answer = came.pop(number, b"") + piece
            if not _is_whole(answer):
                came[number] = answer
                continue
            now = time.perf_counter_ns()
            spent.append(now - since[number])
            statuses[int(answer[9:12])] += 1
            following = next(queue, None)
            if following is None:
                poll.unregister(number)
                del connections[number]
                connection.close()
                continue
            since[number] = time.perf_counter_ns()
            connection.sendall(following)
    seconds = time.perf_counter() - began
    p50, p99 = np.quantile(np.asarray(spent) / 1e6, [0.5, 0.99])
    return {
        "requests": len(spent),
        "statuses": dict(statuses),
        "rps": len(spent) / seconds,
        "p50_ms": float(p50),
        "p99_ms": float(p99),
    }


def _request(parts: SplitResult, body: bytes) -> bytes:
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    _, _, rest = head.lower().partition(b"content-length:")
    return len(body) >= int(rest.partition(b"\r\n")[0])


def main() -> None:
    """Drive one URL with the bodies of a file, one a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("bodies")
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--requests", type=int, default=1000)
    asked = parser.parse_args()
    bodies = Path(asked.bodies).read_bytes().splitlines()
    print(json.dumps(drive(asked.url, bodies, clients=asked.clients, requests=asked.requests)))


if __name__ == "__main__":
    main()
