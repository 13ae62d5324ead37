"""How long a start takes, from the command to the champion's first ready answer, and to lanes that score.

    python -m benchmarks.startup                                    this release
    python -m benchmarks.startup --until ready                      no further than to the champion
    git worktree add ../before <commit> && make -C ../before install
    python -m benchmarks.startup ../before/.venv/bin/shadowserve    beside another, in turn

Films v3 with a challenger and the control, from one registry and a fresh state directory each time. The
first round fills the file cache and does not count. CPU is that of all processes until then.
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
from contextlib import suppress
from pathlib import Path

import psutil

from models.register import ensure
from rig.ports import free_port
from shadowserve.versions.stores import uris

KEYS = ("ready_s", "lanes_s", "cpu_s")
MOST_S = 180.0
LOOK_S = 0.02


def started(command: str, tracking: str, scratch: Path, *, until: str) -> dict[str, float]:
    """Start a deployment, wait until it is as far as asked, and end it; return what that took."""
    port, console = free_port(), free_port()
    asked = [
        command, "serve", "--model", "films", "--champion", "v3", "--challenger", "v5",
        "--port", str(port), "--console-port", str(console), "--tracking-uri", tracking,
        "--state-dir", str(scratch / "state"),
    ]  # fmt: skip
    with (scratch / "said.txt").open("wb") as said:
        began = time.monotonic()
        process = subprocess.Popen(asked, cwd=scratch, stdout=said, stderr=said)
    try:
        ready_s = _until(f"http://127.0.0.1:{port}/readyz", process, began, lanes=False)
        lanes_s = float("nan")
        if until == "lanes":
            lanes_s = _until(f"http://127.0.0.1:{console}/status.json", process, began, lanes=True)
        return {"ready_s": ready_s, "lanes_s": lanes_s, "cpu_s": _cpu_s(process.pid)}
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(MOST_S)


def _until(url: str, process: subprocess.Popen[bytes], began: float, *, lanes: bool) -> float:
    while time.monotonic() - began < MOST_S:
        if process.poll() is not None:
            raise SystemExit(f"It ended with {process.returncode} before it was ready.")
        with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            if not lanes or _running(json.loads(answer.read())):
                return time.monotonic() - began
        time.sleep(LOOK_S if not lanes else 10 * LOOK_S)
    raise SystemExit(f"It was not ready after {MOST_S:g} s.")


def _running(status: dict[str, list[dict[str, str]]]) -> bool:
    return bool(status["lanes"]) and all(lane["state"] == "running" for lane in status["lanes"])


def _cpu_s(pid: int) -> float:
    first = psutil.Process(pid)
    total = 0.0
    for one in (first, *first.children(recursive=True)):
        with suppress(psutil.Error):
            used = one.cpu_times()
            total += used.user + used.system
    return total


def main() -> None:
    """Print a line for each release: medians, and the least and the most."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", nargs="?", help="the other release's command")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--until", choices=("ready", "lanes"), default="lanes")
    asked = parser.parse_args()
    # What was begun ends with this, also where somebody ends this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    releases = {"here": str(Path(sys.executable).with_name("shadowserve"))}
    if asked.before:
        releases["there"] = str(Path(asked.before).absolute())
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    found: dict[str, list[dict[str, float]]] = {name: [] for name in releases}
    with tempfile.TemporaryDirectory() as folder:
        addresses = uris(f"sqlite:///{folder}/mlflow.db")
        ensure(addresses.tracking, models=("films",))
        for number in range(asked.rounds + 1):
            for name in sorted(releases, reverse=bool(number % 2)):
                scratch = Path(folder) / f"{name}-{number}"
                scratch.mkdir()
                told = started(releases[name], addresses.tracking, scratch, until=asked.until)
                shown = ", ".join(f"{key} {told[key]:.1f}" for key in KEYS)
                print(f"{name} {number}: {shown}", file=sys.stderr, flush=True)
                if number:
                    found[name].append(told)
    print("| release | starts | ready, s | lanes run, s | CPU of all, s |\n|---|---|---|---|---|")
    for name, told in found.items():
        print(f"| {name} | {len(told)} | {' | '.join(_spread(told, key) for key in KEYS)} |")


def _spread(told: list[dict[str, float]], key: str) -> str:
    values = [one[key] for one in told]
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


if __name__ == "__main__":
    main()
