"""Requests as a champion worker journals them, and processes that die while they write."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from shadowserve.journal.writer import Writer
from shadowserve.records import Request, Times

TIMES = Times(phases_ns=(10, 20, 30, 40, 50), wall_ns=(30, 40), cpu_ns=(25, 35)).pack()


def request(place: int, *, body: bytes | None = b"{}", status: int = 200, **changes) -> Request:
    fields = {
        "request_id": f"r{place}",
        "arrived_wall_ns": time.time_ns(),
        "arrived_ns": time.monotonic_ns(),
        "protocol": "invocations",
        "content_type": "application/json",
        "answer": b'{"predictions":[1]}',
        "n_rows": 1,
        "times": TIMES,
    }
    return Request(position=place, body=body, status=status, **{**fields, **changes})


def append(writer: Writer, n: int = 1, **changes) -> list[Request]:
    """Append `n` requests in one step and return them."""
    made = [request(writer.position(i), **changes) for i in range(n)]
    writer.append(made)
    return made


def killed(program: str, *arguments: str, after_s: float) -> list[str]:
    """Run a Python program, kill it with SIGKILL, and return the lines it had written by then."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline()  # it is at work
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    lines = [first, *process.stdout]
    process.stdout.close()
    process.wait()
    return [line.strip() for line in lines if line.endswith("\n")]


def positions(requests: Sequence[Request]) -> list[int]:
    return [one.position for one in requests]
