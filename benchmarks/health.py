"""Do health endpoints answer under load, and `/metrics` without holding callers up?

    python -m benchmarks.health

A tiny champion is asked by many closed-loop callers at once, beside a challenger that burns CPU without
end and the control. Each endpoint is asked ten times a second all the while. Goal: every answer of a
health endpoint within 100 ms, the control plane's `/livez` too. Callers' p99 is told with `/metrics`
scraped five times a second and without it; both halves alternate.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.client import ROOT
from rig import tiny
from rig.served import Served

GOAL_MS = 100.0
DATA = ("/livez", "/readyz", "/v2/health/live", "/v2/health/ready")
EVERY_S = 0.1


def asked_ms(port: int, path: str) -> float:
    """Return how long one fresh connection waits for an answer, in ms."""
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            raise RuntimeError(f"{path} answered {response.status}")
    finally:
        connection.close()
    return 1e3 * (time.perf_counter() - began)


def load(served: Served, bodies: Path, *, clients: int, requests: int) -> subprocess.Popen[str]:
    """Start callers in a process of their own."""
    command = [
        sys.executable, "-m", "benchmarks.client", f"{served.url}/invocations", str(bodies),
        "--clients", str(clients), "--requests", str(requests),
    ]  # fmt: skip
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def watch(
    served: Served, callers: subprocess.Popen[str], *, scraped: bool
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Ask every endpoint until the callers are done; return the times, and what callers saw."""
    data, console = served.facts["port"], served.facts["console_port"]
    spent: dict[str, list[float]] = {}
    turn = 0
    while callers.poll() is None:
        began = time.perf_counter()
        for port, path in (*((data, path) for path in DATA), (console, "/livez")):
            name = path if port == data else f"control plane {path}"
            spent.setdefault(name, []).append(asked_ms(port, path))
        if scraped and turn % 2 == 0:
            spent.setdefault("/metrics", []).append(asked_ms(data, "/metrics"))
        turn += 1
        time.sleep(max(0.0, EVERY_S - (time.perf_counter() - began)))
    told: dict[str, float] = json.loads(callers.communicate()[0])
    return spent, told


def main(words: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--requests", type=int, default=8_000, help="in each round")
    parser.add_argument("--rounds", type=int, default=3, help="of each kind")
    asked = parser.parse_args(words)
    spent: dict[str, list[float]] = {}
    callers: dict[bool, list[dict[str, float]]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        bodies = root / "bodies.jsonl"
        rows = [tiny.row(n / 100, "burn") for n in range(500)]
        bodies.write_text("\n".join(json.dumps({"dataframe_records": [row]}) for row in rows))
        with Served(root / "served", tiny.register(root), challengers=(tiny.BURNING,)) as served:
            for turn in range(2 * asked.rounds):
                scraped = bool(turn % 2)
                under = load(served, bodies, clients=asked.clients, requests=asked.requests)
                times, told = watch(served, under, scraped=scraped)
                callers[scraped].append(told)
                for name, found in times.items():
                    spent.setdefault(name, []).extend(found)
    print("| endpoint | asked | p50 ms | p99 ms | largest ms | goal |\n|---|---|---|---|---|---|")
    for name, found in spent.items():
        p50, p99 = np.quantile(found, [0.5, 0.99])
        goal = "none" if name == "/metrics" else "met" if max(found) <= GOAL_MS else "missed"
        print(f"| {name} | {len(found)} | {p50:.1f} | {p99:.1f} | {max(found):.1f} | {goal} |")
    p99 = {kind: statistics.median(one["p99_ms"] for one in runs) for kind, runs in callers.items()}
    print(
        f"\n{asked.clients} callers, p99 in the median of {asked.rounds} rounds: {p99[False]:.0f} ms, "
        f"with /metrics scraped five times a second {p99[True]:.0f} ms."
    )


if __name__ == "__main__":
    main()
