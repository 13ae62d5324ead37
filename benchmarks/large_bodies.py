"""How long large requests hold up the event loop, and what of their time is the model's.

    python -m benchmarks.large_bodies
    python -m benchmarks.large_bodies --only "8 MiB" --rounds 5

A constant model stands behind the data plane, with bodies from 256 KiB on parsed apart, and once more with all
parsed in a thread, as before. Both are asked in turn, in one run. A ticker on the server's own loop wakes each
millisecond; the longest time between two turns, less that millisecond and what the loop's thread waited for
a core, is the hold. A second process asks /livez all the while. The model's share is that of a plain
`predict` of a ready frame in the time that a lone caller waits.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks.client import ROOT, apart
from shadowserve.serving.champion import MAX_QUEUED_ROWS

TICK_S = 0.001
PROBE_S = 0.002


class Shape(NamedTuple):
    """Requests of a kind: rows of numbers and one text, and how many are asked in a block."""

    rows: int
    numbers: int
    letters: int
    asked: int


SHAPES = {
    "1 row": Shape(1, 3, 40, 400),
    "32 rows": Shape(32, 3, 40, 200),
    "1,000 rows": Shape(1_000, 3, 40, 100),
    "300 columns, 32 rows": Shape(32, 299, 40, 60),
    "100 kB text": Shape(1, 3, 100_000, 100),
    "1 MiB": Shape(8_600, 3, 40, 40),
    "8 MiB": Shape(69_000, 3, 40, 12),
}


def rows_of(shape: Shape) -> list[dict[str, Any]]:
    """Return the rows of one request."""
    text = ("a table by the window " * (shape.letters // 22 + 1))[: shape.letters]
    one = {f"n{column}": 1000.5 + column for column in range(shape.numbers)}
    return [{**one, "note": text}] * shape.rows


@contextlib.contextmanager
def serving(shape: Shape, *, is_apart: bool) -> Iterator[tuple[int, float]]:
    """Serve a constant model; yield the port, and what a plain predict takes in ms."""
    import pandas as pd
    import uvicorn
    from sklearn.dummy import DummyRegressor

    from rig.plane import Plane
    from rig.scoring import native
    from shadowserve.http.header_limit import BoundedHead
    from shadowserve.schema.schema import Schema
    from shadowserve.serving.large_bodies import LargeBodies

    frame = pd.DataFrame(rows_of(shape))
    model = DummyRegressor().fit(frame, [1.0] * len(frame))
    spent = []
    for _ in range(20):
        began = time.perf_counter()
        model.predict(frame)
        spent.append((time.perf_counter() - began) * 1e3)
    names = [
        {"name": name, "type": "string" if name == "note" else "double", "required": True}
        for name in frame.columns
    ]
    schema = Schema.from_signature({"inputs": names})
    scorer = replace(native(model), schema=schema)
    large = LargeBodies(schema, model="films", version=3, title="shadowserve parser benchmark")
    options = {"large": large} if is_apart else {}
    with (
        tempfile.TemporaryDirectory() as folder,
        Plane(Path(folder), scorer, max_body=2**24, **options) as plane,
    ):
        config = uvicorn.Config(
            plane.plane, port=0, http=BoundedHead, log_config=None, lifespan="off", loop="uvloop"
        )
        server = uvicorn.Server(config)
        BoundedHead.short_way = plane.plane.short_way
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1], median(spent)
        server.should_exit = True
        thread.join()
    large.close()


class Ticker:
    """Turns on an event loop each millisecond and notes the longest hold, in ms."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def run(self) -> None:
        """Turn until cancelled."""
        thread = threading.get_native_id()
        last, waited = time.monotonic_ns(), _waited_ns(thread)
        while True:
            await asyncio.sleep(TICK_S)
            now, waits = time.monotonic_ns(), _waited_ns(thread)
            held = (now - last - (waits - waited)) / 1e6 - TICK_S * 1e3
            self.longest = max(self.longest, held)
            last, waited = now, waits


def _waited_ns(thread: int) -> int:
    """Return how long a thread of this process was runnable and did not run."""
    try:
        return int(Path(f"/proc/self/task/{thread}/schedstat").read_text().split()[1])
    except OSError:  # no Linux
        return 0


def host(name: str, *, is_apart: bool) -> None:
    """Serve one shape; at each line of stdin tell the longest hold since the last one."""
    from shadowserve.http.header_limit import BoundedHead

    warnings.simplefilter("ignore")
    shape = SHAPES[name]
    with serving(shape, is_apart=is_apart) as (port, predict_ms):
        # The first request opens a connection, which knows the loop.
        body = json.dumps({"dataframe_records": rows_of(shape)}).encode()
        head = {"Content-Type": "application/json"}
        url = f"http://127.0.0.1:{port}/invocations"
        urllib.request.urlopen(urllib.request.Request(url, body, head)).read()
        ticker = Ticker()
        with contextlib.closing(_connected(port)):
            while not BoundedHead.open:
                time.sleep(0.01)
            loop = next(iter(BoundedHead.open)).loop
            ticking = asyncio.run_coroutine_threadsafe(ticker.run(), loop)
        print(json.dumps({"port": port, "predict_ms": predict_ms}), flush=True)
        for _ in sys.stdin:
            print(json.dumps({"hold_ms": ticker.longest}), flush=True)
            ticker.longest = 0.0
        ticking.cancel()


def _connected(port: int) -> Any:
    import socket

    return socket.create_connection(("127.0.0.1", port))


def probe(port: int) -> None:
    """Ask /livez again and again until stdin ends; tell the longest answer in ms."""
    import http.client

    asking = http.client.HTTPConnection("127.0.0.1", port)
    longest, ended = 0.0, threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    while not ended.wait(PROBE_S):
        began = time.perf_counter()
        asking.request("GET", "/livez")
        asking.getresponse().read()
        longest = max(longest, (time.perf_counter() - began) * 1e3)
    print(json.dumps({"livez_ms": longest}))


class Host:
    """A server of one shape in a process of its own."""

    def __init__(self, name: str, folder: Path, *, is_apart: bool) -> None:
        self._shape = SHAPES[name]
        self._bodies = folder / f"{name}.jsonl"
        self._bodies.write_text(json.dumps({"dataframe_records": rows_of(self._shape)}))
        command = ["-m", "benchmarks.large_bodies", "--host", name, *["--thread"][is_apart:]]
        self._process = _python(*command)
        told = json.loads(self._said())
        self.port, self.predict_ms = told["port"], told["predict_ms"]

    def _said(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def block(self, clients: int) -> dict[str, float]:
        """Ask for a block; return holds and times in ms."""
        self._tell()
        probing = _python("-m", "benchmarks.large_bodies", "--probe", str(self.port))
        url = f"http://127.0.0.1:{self.port}/invocations"
        told = apart(url, self._bodies, clients=clients, requests=self._shape.asked)
        found = json.loads(probing.communicate()[0])
        # A request of more rows than may wait is taken where nobody waits, else told to come back.
        fine = {"200", "503"} if self._shape.rows > MAX_QUEUED_ROWS else {"200"}
        if set(told["statuses"]) - fine:
            raise RuntimeError(f"answered {told['statuses']}")
        return {**found, **self._tell(), "p50_ms": told["p50_ms"]}

    def _tell(self) -> dict[str, float]:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        found: dict[str, float] = json.loads(self._said())
        return found

    def end(self) -> None:
        """End it."""
        self._process.communicate()


def _python(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--clients", type=int, default=2, help="for the holds; times are one caller's"
    )
    parser.add_argument("--only", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--host", choices=SHAPES, help=argparse.SUPPRESS)
    parser.add_argument("--thread", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--probe", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.host is not None:
        return host(asked.host, is_apart=not asked.thread)
    if asked.probe is not None:
        return probe(asked.probe)
    print(
        "| request | MiB | parsed | longest hold ms | longest /livez ms | p50 ms, one caller | model's share |"
    )
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in asked.only:
            hosts = {
                how: Host(name, Path(folder), is_apart=how == "apart")
                for how in ("apart", "in a thread")
            }
            found: dict[str, list[dict[str, float]]] = {how: [] for how in hosts}
            for n in range(-1, asked.rounds):
                for how in list(hosts)[:: 1 if n % 2 else -1]:
                    told = hosts[how].block(asked.clients)
                    alone = hosts[how].block(1)
                    if n >= 0:
                        found[how].append({**told, "p50_ms": alone["p50_ms"]})
            size = (Path(folder) / f"{name}.jsonl").stat().st_size / 2**20
            for how, runs in found.items():
                hold, livez = (max(run[key] for run in runs) for key in ("hold_ms", "livez_ms"))
                p50 = median(run["p50_ms"] for run in runs)
                share = hosts[how].predict_ms / p50
                print(
                    f"| {name} | {size:.3f} | {how} | {hold:.1f} | {livez:.1f} | {p50:.2f} | {share:.0%} |",
                    flush=True,
                )
                hosts[how].end()
    return None


if __name__ == "__main__":
    main()
