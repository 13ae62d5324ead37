"""What a lane gets on a host that is busy anyway: beside 1, 4 and 16 strangers that never sleep.

    python -m benchmarks.strangers
    python -m benchmarks.strangers --strangers 0 16 --priority idle low normal --requests 2000

Each row is a deployment of its own, the tiny champion with a better challenger and the control, started
beside so many processes of somebody else's that spin on any core, each in a session of its own. Told are
the seconds until the champion is ready and until its lane has loaded, what one caller waited
(p50, p99), and how many of the requests the challenger had scored `--wait` seconds after the last.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from rig import tiny
from rig.served import Served
from shadowserve.host.leash import tie_to_parent

SPIN = "while True: pass"
PRIORITIES = ("auto", "idle", "low", "normal")


@dataclass(frozen=True, slots=True)
class Row:
    """One deployment beside its strangers; times in seconds, waits in ms."""

    strangers: int
    priority: str
    ready_s: float
    loaded_s: float | None
    p50_ms: float
    p99_ms: float
    asked: int
    scored: int
    after_s: float


@contextmanager
def strangers(n: int) -> Iterator[None]:
    """Keep so many processes busy, none of them ours by session, class or nice value."""
    command = [sys.executable, "-c", SPIN]
    found = [
        subprocess.Popen(command, start_new_session=True, preexec_fn=tie_to_parent)
        for _ in range(n)
    ]
    try:
        yield
    finally:
        for one in found:
            one.kill()
            one.wait()


def measure(
    root: Path, store: tiny.Store, *, busy: int, priority: str, requests: int, wait: float
) -> Row:
    """Serve beside strangers, ask one after another, and wait for the lane."""
    options = ("--lane-priority", priority)
    with strangers(busy):
        served = Served(root, store, *options)
        began = time.monotonic()
        served.start(wait=False)
        try:
            served.until(lambda: "Ready  " in served.said(), "the champion")
            ready_s = time.monotonic() - began
            waits = []
            for i in range(requests):
                sent = time.perf_counter()
                served.post("n" * (1 + i % 7), x=(i % 601 - 300) / 100).raise_for_status()
                waits.append((time.perf_counter() - sent) * 1e3)
            loaded_s, scored, after_s = follow(served, began, requests=requests, wait=wait)
        finally:
            served.stop()
            served.close()
    p50, p99 = np.quantile(waits, [0.5, 0.99]).tolist()
    return Row(busy, priority, ready_s, loaded_s, p50, p99, requests, scored, after_s)


def follow(
    served: Served, began: float, *, requests: int, wait: float
) -> tuple[float | None, int, float]:
    """Return when the lane ran, how much it had scored in the end, and how long after the last request."""
    loaded_s, last = None, time.monotonic()
    while True:
        lane = served.lane(tiny.BETTER)
        now = time.monotonic()
        if loaded_s is None and lane["state"] == "running":
            loaded_s = now - began
        if lane["both_ok"] >= requests or now - last >= wait:
            return loaded_s, lane["both_ok"], now - last
        time.sleep(0.1)


def asked_for(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--strangers", nargs="+", type=int, default=[0, 1, 4, 16])
    parser.add_argument("--priority", nargs="+", choices=PRIORITIES, default=["idle", "auto"])
    parser.add_argument("--requests", type=int, default=1_000)
    parser.add_argument("--wait", type=float, default=60.0, help="seconds for the lane, at most")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(words)


def main() -> None:
    """Print the table."""
    asked = asked_for()
    rows = []
    if not asked.json:
        print(
            "| strangers | priority | champion ready | lane loaded | p50, p99 ms | scored | after |"
        )
        print("|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        store = tiny.registered(Path(folder))
        for busy in asked.strangers:
            for priority in asked.priority:
                row = measure(
                    Path(folder) / f"{busy}-{priority}", store,
                    busy=busy, priority=priority, requests=asked.requests, wait=asked.wait,
                )  # fmt: skip
                rows.append(row)
                if not asked.json:
                    print(told(row), flush=True)
    if asked.json:
        print(json.dumps([asdict(row) for row in rows]))


def told(row: Row) -> str:
    """Return a row of the table."""
    loaded = "not yet" if row.loaded_s is None else f"{row.loaded_s:.1f} s"
    return (
        f"| {row.strangers} | {row.priority} | {row.ready_s:.1f} s | {loaded} | {row.p50_ms:.1f}, "
        f"{row.p99_ms:.1f} | {row.scored:,} of {row.asked:,} | {row.after_s:.1f} s |"
    )


if __name__ == "__main__":
    main()
