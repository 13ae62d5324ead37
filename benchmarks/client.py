"""A closed-loop HTTP client that is fair to its connections: one thread, one request in flight each.

    python -m benchmarks.client URL BODIES_FILE --clients 16 --requests 2000
    python -m benchmarks.client URL BODIES_FILE --clients 16 --seconds 4

Prints one JSON line: requests, statuses, errors, requests per second, latency quantiles in ms, the
least and most answers that one connection got, and what the client itself took of a CPU a request.

The kernel says which answers are there (epoll), and each is read and followed by the next request
before it is asked again: no connection is served twice while another waits. A time counts from sending
to the reading of the last byte. Whole requests are built beforehand.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from shadowserve.replay.incoming import Incoming

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 20.0
"""How long an answer may take once no more requests are sent; what is then missing is an error."""
PIECE = 262_144


class Connection:
    """One caller: a kept connection, opened anew where the server closes it."""

    def __init__(self, address: tuple[str, int], waiting: selectors.BaseSelector) -> None:
        self._address = address
        self._waiting = waiting
        self.answered = 0
        self._connect()

    def _connect(self) -> None:
        self.socket = socket.create_connection(self._address, timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._waiting.register(self.socket, selectors.EVENT_READ, self)

    def send(self, request: bytes) -> None:
        """Send a whole request; one that the server does not take is found cut off when read."""
        self.answer = Incoming()
        self.sent = time.perf_counter()
        with suppress(OSError):
            self.socket.sendall(request)

    def receive(self) -> int | None:
        """Read what is there; return the status once the answer is whole, 0 if it was cut off."""
        try:
            piece = self.socket.recv(PIECE)
        except OSError:
            piece = b""
        if piece and not self.answer.take(piece):
            return None
        status = self.answer.status if piece else 0
        self.answered += status == 200
        if not piece or not self.answer.keeps:
            self.close()
            self._connect()
        return status

    def close(self) -> None:
        """Hang up."""
        self._waiting.unregister(self.socket)
        self.socket.close()


def whole(url: str, body: bytes) -> bytes:
    """Return a whole HTTP request that posts JSON."""
    parts = urlsplit(url)
    head = (
        f"POST {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def drive(
    url: str,
    bodies: Sequence[bytes],
    *,
    clients: int,
    requests: int | None = None,
    seconds: float | None = None,
) -> dict[str, Any]:
    """Send requests over some connections and time each from its sending to its last byte.

    Parameters
    ----------
    url : str
        Where to post.
    bodies : sequence of bytes
        Cycled.
    clients : int
        Connections, with one request in flight each.
    requests, seconds : optional
        When to stop sending; at least one. What is in flight then may still be answered.

    Returns
    -------
    dict
        ``rps`` are answers of status 200 by the last one sent, or by the end of `seconds`, per
        second; quantiles are of all that were answered with 200, NaN of none. ``errors`` count other
        statuses, connections cut off (status 0) and answers that never came.
    """
    parts = urlsplit(url)
    sending = iter(islice(cycle([whole(url, body) for body in bodies]), requests))
    spent: list[float] = []
    statuses: Counter[int] = Counter()
    with selectors.DefaultSelector() as waiting:
        callers = [
            Connection((str(parts.hostname), int(parts.port or 80)), waiting)
            for _ in range(clients)
        ]
        cpu, began = time.process_time(), time.perf_counter()
        until = began + (seconds if seconds is not None else float("inf"))
        under_way = set()
        for caller, request in zip(callers, sending, strict=False):
            caller.send(request)
            under_way.add(caller)
        in_time, last = 0, began
        while under_way:
            ready = waiting.select(PATIENCE_S)
            if not ready or time.perf_counter() > until + PATIENCE_S:
                break
            for key, _ in ready:
                status = key.data.receive()
                if status is None or key.data not in under_way:
                    continue
                last = time.perf_counter()
                statuses[status] += 1
                if status == 200:
                    spent.append(last - key.data.sent)
                    in_time += last <= until
                request = next(sending, None) if last < until else None
                if request is None:
                    under_way.discard(key.data)
                else:
                    key.data.send(request)
        cpu = time.process_time() - cpu
        for caller in callers:
            caller.close()
    by_caller = [caller.answered for caller in callers]
    done = sum(statuses.values())
    errors = done - statuses[200] + len(under_way)
    p50, p99 = np.quantile(np.asarray(spent or [np.nan]) * 1e3, [0.5, 0.99])
    return {
        "requests": done + len(under_way),
        "statuses": dict(statuses),
        "errors": errors,
        "rps": in_time / (min(last, until) - began) if in_time else 0.0,
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "least": min(by_caller),
        "most": max(by_caller),
        "client_us": 1e6 * cpu / max(done, 1),
    }


def apart(
    url: str, bodies: Path, *, clients: int, last_core: bool = False, **until: float
) -> dict[str, Any]:
    """Run the client in a process of its own; `until` is ``requests`` or ``seconds``, as of `drive`."""
    command = [sys.executable, "-m", "benchmarks.client", url, str(bodies)]
    options = ["--clients", str(clients), *(["--last-core"] if last_core else [])]
    for name, value in until.items():
        options += [f"--{name}", str(value)]
    ran = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=True)
    told: dict[str, Any] = json.loads(ran.stdout)
    return told


def main() -> None:
    """Drive one URL with the bodies of a file, one a line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url")
    parser.add_argument("bodies")
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--requests", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--last-core", action="store_true", help="keep to it, where Linux lets one")
    asked = parser.parse_args()
    if asked.last_core and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if asked.requests is None and asked.seconds is None:
        asked.requests = 1_000
    bodies = Path(asked.bodies).read_bytes().splitlines()
    told = drive(
        asked.url, bodies, clients=asked.clients, requests=asked.requests, seconds=asked.seconds
    )
    print(json.dumps(told))


if __name__ == "__main__":
    main()
