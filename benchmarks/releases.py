"""Two releases of shadowserve side by side, in one run: is the hot path slower than it was?

    git worktree add ../before <commit> && make -C ../before install
    python -m benchmarks.releases ../before/.venv/bin/shadowserve --here "--batch on"

Both serve films v3 of one registry. Blocks alternate, and while one is asked the other's processes
are stopped, so that it takes no core. What counts is the ratio of neighbouring blocks, here over there.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.client import apart
from benchmarks.running import Running, serving
from models import traffic
from models.register import ensure
from rig.ports import free_port
from shadowserve.versions.stores import uris

WARM_UP = 300
PER_CLIENTS = {1: 400, 16: 1_200, 64: 1_200}
KEYS = ("rps", "p50_ms", "p99_ms")


class Release:
    """One release's deployment, and all of its processes."""

    def __init__(self, command: str, tracking: str, scratch: Path, *options: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/invocations"
        self.scratch = scratch
        self.running: Running
        self.command = [
            command, "serve", "--model", "films", "--champion", "v3", *options,
            "--port", str(self.port), "--console-port", str(free_port()),
            "--state-dir", str(scratch / "state"), "--tracking-uri", tracking,
        ]  # fmt: skip

    @contextmanager
    def served(self) -> Iterator[None]:
        """Serve, and stand still until asked."""
        ready = f"http://127.0.0.1:{self.port}/readyz"
        with serving(self.command, ready=ready, cwd=self.scratch) as self.running:
            yield


def main() -> None:
    """Print the table of ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", help="the other release's command")
    parser.add_argument("--here", default="", help="options that this release alone knows")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--clients", type=int, nargs="+", default=list(PER_CLIENTS))
    parser.add_argument("--lanes", action="store_true", help="with a challenger and the control")
    parser.add_argument("--tracking-uri", default=None)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        scratch = Path(folder)
        addresses = uris(asked.tracking_uri or f"sqlite:///{folder}/mlflow.db")
        ensure(addresses.tracking, models=("films",))
        records = [r for r in traffic.films(600) if len(str(r["description"])) < 2_000][:500]
        bodies = scratch / "bodies.jsonl"
        bodies.write_text("\n".join(json.dumps({"dataframe_records": [r]}) for r in records))
        lanes = ["--challenger", "v5"] if asked.lanes else ["--no-control"]
        here = str(Path(sys.executable).with_name("shadowserve"))
        there = str(Path(asked.before).absolute())
        releases = []
        for name, command, more in (("there", there, ()), ("here", here, asked.here.split())):
            (scratch / name).mkdir()
            releases.append(Release(command, addresses.tracking, scratch / name, *lanes, *more))
        for one in releases:
            stack.enter_context(one.served())
        for one in releases:
            with one.running.awake():
                apart(one.url, bodies, clients=4, requests=WARM_UP)
        print("| clients | blocks | requests/s | p50 | p99 |\n|---|---|---|---|---|")
        for clients in asked.clients:
            print(line(clients, _blocks(releases, bodies, clients, asked.rounds)), flush=True)


def _blocks(
    releases: list[Release], bodies: Path, clients: int, rounds: int
) -> list[tuple[dict[str, float], dict[str, float]]]:
    """Ask both in turn, each as often first as the other; return before and after, block by block."""
    pairs = []
    for n in range(rounds):
        told = {}
        for which in (0, 1) if n % 2 else (1, 0):
            with releases[which].running.awake():
                told[which] = apart(
                    releases[which].url, bodies, clients=clients, requests=PER_CLIENTS[clients]
                )
        pairs.append((told[0], told[1]))
    return pairs


def line(clients: int, pairs: list[tuple[dict[str, float], dict[str, float]]]) -> str:
    """Return the medians over blocks of after over before."""
    ratios = (statistics.median(b[key] / a[key] for a, b in pairs) for key in KEYS)
    return f"| {clients} | {len(pairs)} | " + " | ".join(f"{one:.2f}" for one in ratios) + " |"


if __name__ == "__main__":
    main()
