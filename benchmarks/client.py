"""A closed-loop HTTP client in its own process: N connections, each sending as fast as answered.

Prints one JSON line: requests, statuses, requests per second, and latency quantiles in ms.
``python -m benchmarks.client URL BODIES_FILE --clients 16 --requests 2000``
"""

from __future__ import annotations

import argparse
import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

HEADERS = {"Content-Type": "application/json"}


def drive(url: str, bodies: Sequence[bytes], *, clients: int, requests: int) -> dict[str, object]:
    """Send requests over some connections and time each from its sending to its last byte."""
    parts = urlsplit(url)
    queue = islice(cycle(bodies), requests)
    lock = threading.Lock()
    spent: list[float] = []
    statuses: Counter[int] = Counter()

    def client() -> None:
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=120)
        connection.connect()
        own: list[float] = []
        seen: Counter[int] = Counter()
        while True:
            with lock:
                body = next(queue, None)
            if body is None:
                break
            started = time.perf_counter()
            connection.request("POST", parts.path, body, HEADERS)
            response = connection.getresponse()
            response.read()
            own.append(time.perf_counter() - started)
            seen[response.status] += 1
        with lock:
            spent.extend(own)
            statuses.update(seen)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    p50, p99 = np.quantile(np.asarray(spent) * 1e3, [0.5, 0.99])
    return {
        "requests": len(spent),
        "statuses": dict(statuses),
        "rps": len(spent) / seconds,
        "p50_ms": float(p50),
        "p99_ms": float(p99),
    }


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
