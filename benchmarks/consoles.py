"""What open consoles cost the champion's callers: response times with fifty of them ÷ with none.

    python -m benchmarks.consoles --blocks 10

One deployment: tiny champion, a challenger that is healthy, the control. Blocks alternate: in one, so many pages hold
their stream of events open, in a process of their own; in the other nobody looks. Traffic is the same in both, as
in `benchmarks.tax`: open loop, Poisson, at half of what 16 closed-loop callers got. Both processes of the client keep to
the last core, as if they were on another machine; times count to the kernel's receipt of the answer.

A table is valid only where none ÷ none (odd against even blocks) lies within 0.97 to 1.03 at p50.
"""

from __future__ import annotations

import argparse
import gc
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks import openloop
from benchmarks.tax import CLIENTS, SETTLE_S, VALID, WARM_UP, bodies, compare, on_last_core
from rig import tiny
from rig.served import Served

GOAL = 1.03
ASKED = b"GET /events HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"


def look(port: int, n: int) -> None:
    """Hold so many streams open until told to end; print a line once all have had a picture, and what came."""
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    waiting, came = selectors.DefaultSelector(), dict.fromkeys(range(n), 0)
    for viewer in came:
        stream = socket.create_connection(("127.0.0.1", port))
        stream.sendall(ASKED)
        waiting.register(stream, selectors.EVENT_READ, viewer)
    told = False
    while not ended:
        for key, _ in waiting.select(0.5):
            came[key.data] += key.fileobj.recv(2**20).count(b"data: ")
        if not told and min(came.values()):
            print("open", flush=True)
            told = True
    print(sum(came.values()), flush=True)


@contextmanager
def looking(served: Served, n: int) -> Iterator[list[int]]:
    """Let so many look for the length of a block; what they were sent is counted at its end."""
    sent: list[int] = []
    if not n:
        yield sent
        return
    port = served.facts["console_port"]
    command = [
        sys.executable,
        "-m",
        "benchmarks.consoles",
        "--look",
        str(port),
        "--consoles",
        str(n),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as viewers:
        assert viewers.stdout is not None
        assert viewers.stdout.readline() == "open\n"
        try:
            yield sent
        finally:
            viewers.terminate()
            sent.append(int(viewers.stdout.readline()))


def measure(served: Served, *, consoles: int, blocks: int, requests: int) -> None:
    """Alternate blocks and print the table."""
    times: dict[int, list[list[float]]] = {0: [], consoles: []}
    events = 0
    with on_last_core():
        port = served.facts["port"]
        openloop.capacity(port, bodies("healthy", WARM_UP, block=-2), clients=CLIENTS)
        rate = openloop.capacity(port, bodies("healthy", WARM_UP, block=-1), clients=CLIENTS) / 2
        for block in range(blocks):
            order = (0, consoles) if block % 2 == 0 else (consoles, 0)
            for n in order:
                with looking(served, n) as sent:
                    time.sleep(SETTLE_S)
                    arrivals = openloop.poisson(requests, rate=rate, seed=block)
                    driven = openloop.drive(
                        port, bodies("healthy", requests, block=block), arrivals
                    )
                    times[n].append(driven.spent)
                events += sum(sent)
    off, on = np.asarray(times[0]), np.asarray(times[consoles])
    still = float(np.median(off[::2]) / np.median(off[1::2]))
    print(
        "| open | requests/s | blocks | none p50, p99 ms | none ÷ none p50 | p50 | p99 | goal | events |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    p50, p99 = (compare(on, off, rank) for rank in (0.5, 0.99))
    valid = VALID[0] <= still <= VALID[1]
    verdict = "invalid" if not valid else "met" if p50.value <= GOAL else "missed"
    told = [f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})" for one in (p50, p99)]
    quiet = ", ".join(f"{value:.2f}" for value in np.quantile(off, [0.5, 0.99]))
    print(
        f"| {consoles} | {rate:.0f} | {blocks} of {requests:,} | {quiet} | {still:.3f} "
        f"| {told[0]}; ≤ {GOAL} | {told[1]} | {verdict} | {events} |",
        flush=True,
    )


def main() -> None:
    """Measure, or be the viewers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--consoles", type=int, default=50)
    parser.add_argument("--blocks", type=int, default=10, help="of each kind; at least 2")
    parser.add_argument("--requests", type=int, default=4_000, help="in each block")
    parser.add_argument("--look", type=int, metavar="PORT", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.look is not None:
        look(asked.look, asked.consoles)
        return
    with tempfile.TemporaryDirectory() as folder:
        store = tiny.registered(Path(folder))
        gc.freeze()  # a collection in the client is nobody's slowness
        with Served(Path(folder) / "served", store) as served:
            measure(served, consoles=asked.consoles, blocks=asked.blocks, requests=asked.requests)


if __name__ == "__main__":
    main()
