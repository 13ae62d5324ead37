"""Start and stop a deployment many times: ``python -m benchmarks.chaos.restarts --times 100``.

Every start answers a request; every stop must leave no process, no listening socket and no temporary
file. At the end the state directory may hold more than after the second stop only where a record grows:
the parts of comparisons and the logs. The exit code is 1 if anything else is left.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import click
import httpx
import psutil

from rig import tiny
from rig.served import Served

STEADY = 2
"""After so many stops all that is made once has been made."""
_GROWING = ("comparisons", "logs")
_DIGITS = re.compile(r"\d+")
"""Segments and processes have other numbers after each start; how many files there are is what counts."""


@click.command()
@click.option("--times", default=100, show_default=True)
def main(times: int) -> None:
    """Start and stop a deployment and say what was left each time."""
    with tempfile.TemporaryDirectory(prefix="restarts-") as folder:
        root = Path(folder)
        store = tiny.registered(root)
        faults, starts_s, stops_s = run(root / "run", store, times=times)
    click.echo(
        f"Starts and stops {times}; ready after {median(starts_s):.1f} s, stopped after "
        f"{median(stops_s):.1f} s in the median, {max(stops_s):.1f} s at most"
    )
    click.echo("\n".join(faults) or "No process, port, socket or file was left.")
    sys.exit(1 if faults else 0)


def run(root: Path, store: tiny.Store, *, times: int) -> tuple[list[str], list[float], list[float]]:
    """Start and stop; return what was left, and how long each start and stop took."""
    temporary = root / "tmp"
    temporary.mkdir(parents=True)
    served = Served(root, store, environ={"TMPDIR": str(temporary)})
    faults: list[str] = []
    starts_s, stops_s, before = [], [], Counter[str]()
    for turn in range(1, times + 1):
        began = time.monotonic()
        served.start()
        starts_s.append(time.monotonic() - began)
        served.post().raise_for_status()
        ports, below = served.facts, served.processes()
        began = time.monotonic()
        code = served.stop()
        stops_s.append(time.monotonic() - began)
        left = [*_processes(served, below), *_ports(ports), *_names(temporary)]
        faults += [f"stop {turn} left {one}" for one in left]
        faults += [f"stop {turn} ended with {code}"] if code else []
        if turn == STEADY:
            before = Counter(_names(served.state))
    grown = Counter(_names(served.state)) - before
    faults += [f"{n} more of {name}" for name, n in sorted(grown.items())]
    faults += ["a traceback was told"] if "Traceback" in served.said() else []
    served.close()
    return faults, starts_s, stops_s


def _processes(served: Served, below: list[psutil.Process]) -> Iterator[str]:
    yield from (f"process {one.pid}" for one in psutil.wait_procs(below, timeout=0)[1])
    for one in psutil.process_iter(["cmdline"]):
        if any(str(served.state) in word for word in one.info["cmdline"] or ()):
            yield f"process {one.pid} of its directory"


def _ports(facts: dict[str, int]) -> Iterator[str]:
    for port in (facts["port"], facts["console_port"]):
        try:
            httpx.get(f"http://127.0.0.1:{port}/livez", timeout=1)
        except httpx.ConnectError:
            continue
        yield f"port {port}"


def _names(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.is_file() and not any(word in path.parts for word in _GROWING):
            yield _DIGITS.sub("N", str(path.relative_to(folder)))


if __name__ == "__main__":
    main()
