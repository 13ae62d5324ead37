"""shadowserve with lanes on, beside a plain BentoML service of the same version, in one run.

    python -m benchmarks.serving

Both serve films v3 (median description lengths, one row a request). Rounds alternate; each figure is
the median over rounds, and what counts is the ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models import traffic
from models.register import ensure
from rig.ports import free_port
from shadowserve.versions import pins
from shadowserve.versions.registry import Registry
from shadowserve.versions.stores import uris

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 5


def wait(url: str, process: subprocess.Popen[bytes], *, seconds: float = 120) -> None:
    """Wait until a URL answers 200."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the server of {url} ended with {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.3)
    raise RuntimeError(f"{url} did not get ready")


@contextmanager
def serving(
    command: list[str], *, ready: str, env: dict[str, str], cwd: Path = ROOT
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server for the length of a block."""
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, **env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait(ready, process)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()


def drive(url: str, bodies: Path, *, clients: int, requests: int) -> dict[str, float]:
    """Run the client in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.client", url, str(bodies)]
    options = ["--clients", str(clients), "--requests", str(requests)]
    ran = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=True)
    told: dict[str, float] = json.loads(ran.stdout)
    return told


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracking-uri", default=None)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--challenger", default="v5")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        addresses = uris(asked.tracking_uri or f"sqlite:///{folder}/mlflow.db")
        ensure(addresses.tracking, models=("films",))
        fetched = Registry(addresses).fetch(pins.Pin("films", 3), scratch / "models")
        records = [r for r in traffic.films(600) if len(str(r["description"])) < 2_000][:500]
        ours, plain = scratch / "ours.jsonl", scratch / "plain.jsonl"
        ours.write_text("\n".join(json.dumps({"dataframe_records": [r]}) for r in records))
        plain.write_text("\n".join(json.dumps({"rows": [r]}) for r in records))
        a, b, c = free_port(), free_port(), free_port()
        serve = [
            sys.executable, "-m", "shadowserve.cli", "serve", "--model", "films", "--champion", "v3",
            "--challenger", asked.challenger, "--port", str(a), "--console-port", str(b),
            "--state-dir", str(scratch / "state"), "--tracking-uri", addresses.tracking,
        ]  # fmt: skip
        peer = [sys.executable, "-m", "bentoml", "serve", "benchmarks.peer:Plain", "--port", str(c)]
        code = str(fetched.path / "code")
        env = {
            "PEER_MODEL": str(fetched.path), "PYTHONPATH": f"{ROOT}:{code}", "OMP_NUM_THREADS": "1",
            "BENTOML_DO_NOT_TRACK": "true",
        }  # fmt: skip
        with (
            serving(serve, ready=f"http://127.0.0.1:{a}/readyz", env={}),
            serving(peer, ready=f"http://127.0.0.1:{c}/readyz", env=env),
        ):
            urls = {
                "shadowserve": (f"http://127.0.0.1:{a}/invocations", ours),
                "plain": (f"http://127.0.0.1:{c}/predict", plain),
            }
            for url, bodies in urls.values():
                drive(url, bodies, clients=4, requests=300)
            print(
                "| clients | server | requests/s | p50 ms | p99 ms | rps ratio | p50 ratio |\n|---|---|---|---|---|---|---|"
            )
            for clients, requests in ((1, 400), (16, 1200), (64, 1200)):
                rounds: dict[str, list[dict[str, float]]] = {name: [] for name in urls}
                for _ in range(asked.rounds):
                    for name, (url, bodies) in urls.items():
                        rounds[name].append(drive(url, bodies, clients=clients, requests=requests))
                table(clients, rounds)


def table(clients: int, rounds: dict[str, list[dict[str, float]]]) -> None:
    """Print the medians of one number of clients, and ours over the plain one, round by round."""
    for name, runs in rounds.items():
        middle = {
            key: statistics.median(run[key] for run in runs) for key in ("rps", "p50_ms", "p99_ms")
        }
        ratios = ""
        if name == "shadowserve":
            pairs = list(zip(runs, rounds["plain"], strict=True))
            rps, p50 = (
                statistics.median(a[key] / b[key] for a, b in pairs) for key in ("rps", "p50_ms")
            )
            ratios = f"{rps:.2f} | {p50:.2f}"
        else:
            ratios = "1 | 1"
        print(
            f"| {clients} | {name} | {middle['rps']:.0f} | {middle['p50_ms']:.2f} | {middle['p99_ms']:.2f} | {ratios} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
