"""What `replay` promises: gaps as they were, five thousand requests a second from one process, and a capacity that is true.

    python -m benchmarks.replaying

A recording of 20,000 requests of 300 to 900 bytes is written as two workers' segments. It is replayed to a sink in a process
of its own, which notes when each body was there, by the clock that both share, and its digest.

- gaps: 2,000 requests, Poisson at 100 a second, at 1 x: by how much each gap at the sink differs from the recorded one.
- speed: `--rate 5000` for ten seconds: how late requests were sent (p99), and whether every body came as it was recorded.
- capacity: a sink that serves one request each 10 ms, in the order in which they came: what `--find-capacity` finds, twice.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from rig.deployment import deployment, made
from rig.journal import request
from rig.ports import free_port
from rig.sink import Came, sink
from shadowserve.journal.writer import Writer
from shadowserve.records import Request
from shadowserve.state import deployment as deployments

N = 20_000
FULL = 5_000
SERVED_PER_S = 100.0
COMMAND = str(Path(sys.executable).with_name("shadowserve"))


def record(root: Path, *, n: int, rate: float, seed: int) -> list[Request]:
    """Write a recording of two workers, and return it in the order of arrival."""
    places, drawn = made(root), np.random.default_rng(seed)
    deployments.write(places, deployment())
    at_ns = time.time_ns() + np.cumsum(drawn.exponential(1e9 / rate, n)).astype(np.int64)
    requests: list[Request] = []
    for worker in (0, 1):
        writer = Writer(places.journal, worker=worker)
        own = at_ns[worker::2].tolist()
        some = [
            request(
                writer.position(i),
                body=json.dumps(
                    {"inputs": [{"x": i, "note": "n" * int(drawn.integers(300, 900))}]}
                ).encode(),
                arrived_wall_ns=at,
            )
            for i, at in enumerate(own)
        ]
        for first in range(0, len(some), 1_000):
            writer.append(some[first : first + 1_000])
        writer.close()
        requests += some
    return sorted(requests, key=lambda one: one.arrived_wall_ns)


def replayed(root: Path, came: Came, *arguments: str) -> dict[str, Any]:
    """Run the command, and return its summary."""
    command = [COMMAND, "replay", "journal", "--to", came.url, "--into-live", "--json"]
    ran = subprocess.run(
        [*command, "--state-dir", str(root), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise RuntimeError(ran.stderr)
    told: dict[str, Any] = json.loads(ran.stdout)
    return told


def gaps(place: Path) -> dict[str, float]:
    """Replay at 1 x, and compare gaps."""
    recorded = record(place / "gaps", n=2_000, rate=SERVED_PER_S, seed=1)
    with sink(free_port(), place / "gaps.jsonl") as came:
        told = replayed(place / "gaps", came)
    there = np.diff([one["at_ns"] for one in came.seen]) / 1e6
    wanted = np.diff([one.arrived_wall_ns for one in recorded]) / 1e6
    apart = np.abs(there - wanted)
    drift = (came.seen[-1]["at_ns"] - came.seen[0]["at_ns"]) / 1e6 - wanted.sum()
    return {
        "requests": len(came.seen),
        "apart_p50_ms": float(np.median(apart)),
        "apart_p99_ms": float(np.quantile(apart, 0.99)),
        "drift_ms": float(drift),
        "late_p99_ms": told["late_ms"]["p99"],
    }


def speed(place: Path, seconds: float) -> dict[str, float]:
    """Replay as quickly as is promised, and hold every body against what was recorded."""
    recorded = record(place / "speed", n=N, rate=1_000, seed=2)
    n = int(FULL * seconds)
    with sink(free_port(), place / "speed.jsonl") as came:
        told = replayed(place / "speed", came, "--rate", str(FULL), "--repeat", "--limit", str(n))
    wanted = Counter(_digest(one) for one in recorded)
    there = Counter(one["digest"] for one in came.seen)
    whole = all(there[one] in (n // N * k, (n // N + 1) * k) for one, k in wanted.items())
    return {
        "requests": len(came.seen),
        "per_s": told["sent_per_s"],
        "late_p50_ms": told["late_ms"]["p50"],
        "late_p99_ms": told["late_ms"]["p99"],
        "answered": told["answered"],
        "bodies_as_recorded": float(whole and there.total() == n and there.keys() <= wanted.keys()),
    }


def _digest(one: Request) -> str:
    return hashlib.blake2b(one.body or b"", digest_size=16).hexdigest()


def capacity(place: Path, times: int) -> list[dict[str, float]]:
    """Find what a server of known capacity takes."""
    record(place / "capacity", n=2_000, rate=1_000, seed=3)
    found = []
    for n in range(times):
        file, plot = place / f"capacity-{n}.jsonl", place / f"capacity-{n}.svg"
        with sink(free_port(), file, service_ms=1e3 / SERVED_PER_S) as came:
            began = time.monotonic()
            told = replayed(place / "capacity", came, "--find-capacity", "--plot", str(plot))
        found.append(
            {
                "held_per_s": told["held_per_s"],
                "broke_per_s": told["broke_per_s"],
                "steps": len(told["steps"]),
                "seconds": time.monotonic() - began,
            }
        )
    return found


def main() -> None:
    """Measure, and print one JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="of full speed")
    parser.add_argument("--times", type=int, default=2, help="that the capacity is looked for")
    parser.add_argument("--only", choices=("gaps", "speed", "capacity"))
    asked = parser.parse_args()
    told: dict[str, Any] = {"cores": os.cpu_count(), "load_before": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory() as place:
        if asked.only in (None, "gaps"):
            told["gaps"] = gaps(Path(place))
        if asked.only in (None, "speed"):
            told["speed"] = speed(Path(place), asked.seconds)
        if asked.only in (None, "capacity"):
            told["capacity"] = capacity(Path(place), asked.times)
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
