"""What lanes cost the champion's callers at half its capacity: response times lanes on ÷ lanes off.

    python -m benchmarks.tax --challenger healthy burner hung crashing slow

Two deployments serve the same tiny champion: one with a challenger and the control, one with neither
(`--no-control`). Blocks alternate between them, and whichever does not serve is frozen as a whole
(SIGSTOP of its supervisor, then of all below it), so that its lanes can't disturb the other's block and
its supervisor can't take the stillness for a hang. Frozen processes keep their memory but use no core.

Arrivals are Poisson and open loop (`benchmarks.openloop`); the rate is half of what 16 closed-loop
callers got from the deployment without lanes, after both were warmed up alike. The client keeps to the
last core, at usual priority. On two cores that is also the lanes', and there it may wait a scheduler's
tick for them, as nobody would whose client is on another machine: so times count from sending to the
kernel's receipt of the answer, and how late the client itself sent is told beside them. Lanes may lag in
a block: then they are busy throughout, which is the harder case.

A table is valid only where off ÷ off (odd against even blocks) lies within 0.97 to 1.03 at p50.
Ratios are of the pooled blocks' quantiles; intervals are bootstrapped over pairs of blocks.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil

from benchmarks import openloop
from rig import tiny
from rig.served import Served

WORDS = {
    "healthy": (tiny.BETTER, "", 1),
    "burner": (tiny.BURNING, "burn", 1),
    "hung": (tiny.TRICKY, "hang", 50),
    "crashing": (tiny.TRICKY, "exit", 50),
    "slow": (tiny.SLOW, "slow", 1),
}
GOALS = {"burner": (1.05, 1.15)}
GOAL = (1.03, 1.10)
VALID = (0.97, 1.03)
CLIENTS = 16
SETTLE_S = 1.0
WARM_UP = 2_000
RESAMPLES = 2_000


@dataclass(frozen=True, slots=True)
class Ratio:
    """On over off at one rank, with a 95 % bootstrap interval over pairs of blocks."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Tax:
    """One challenger's row of the table."""

    challenger: str
    rate: float
    blocks: int
    requests: int
    off_off: float
    p50: Ratio
    p99: Ratio
    off_ms: tuple[float, float]
    late_ms: tuple[float, float]
    lane: str

    @property
    def valid(self) -> bool:
        """Whether the machine was still enough to say anything."""
        return VALID[0] <= self.off_off <= VALID[1]


def bodies(challenger: str, n: int, *, block: int) -> list[bytes]:
    """Return a block's requests: every so many hold the word that its challenger heeds."""
    _, word, every = WORDS[challenger]
    made = []
    for i in range(n):
        note = word if i % every == 0 and word else "n" * (1 + i % 7)
        row = tiny.row((i % 601 - 300) / 100, note)
        made.append(
            openloop.post(json.dumps({"dataframe_records": [row]}).encode(), f"{block}-{i}")
        )
    return made


def tell(served: Served, number: signal.Signals) -> None:
    """Freeze or thaw a deployment; the supervisor sees no moment at which only others stand still."""
    assert served.process is not None
    own = psutil.Process(served.process.pid)
    processes = [own, *own.children(recursive=True)]
    for process in processes if number == signal.SIGSTOP else reversed(processes):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


@contextmanager
def on_last_core() -> Iterator[None]:
    """Keep the client off the champion's core, without handing that on to what is started later."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def awake(served: Served) -> Iterator[int]:
    """Let a frozen deployment run for a block; yield its port."""
    tell(served, signal.SIGCONT)
    try:
        served.client.post(f"{served.console}/resume")
        time.sleep(SETTLE_S)
        with on_last_core():
            yield served.facts["port"]
    finally:
        tell(served, signal.SIGSTOP)


def measure(challenger: str, store: tiny.Store, root: Path, *, blocks: int, requests: int) -> Tax:
    """Alternate blocks between the two deployments and compare."""
    version = WORDS[challenger][0]
    times: dict[str, list[list[float]]] = {"off": [], "on": []}
    late: dict[str, list[float]] = {"off": [], "on": []}
    with ExitStack() as stack:
        sides = {}
        for name, others, options in (("off", (), ["--no-control"]), ("on", (version,), [])):
            served = Served(root / name, store, *options, challengers=others)
            sides[name] = stack.enter_context(served)
            stack.callback(tell, served, signal.SIGCONT)
            tell(served, signal.SIGSTOP)
        for name in ("on", "off"):
            with awake(sides[name]) as port:
                openloop.capacity(port, bodies("healthy", WARM_UP, block=-2), clients=CLIENTS)
        with awake(sides["off"]) as port:
            some = bodies("healthy", max(2_000, requests), block=-1)
            rate = openloop.capacity(port, some, clients=CLIENTS) / 2
        for block in range(blocks):
            order = ("off", "on") if block % 2 == 0 else ("on", "off")
            for name in order:
                with awake(sides[name]) as port:
                    arrivals = openloop.poisson(requests, rate=rate, seed=block)
                    sent = bodies(challenger, requests, block=block)
                    driven = openloop.drive(port, sent, arrivals)
                    times[name].append(driven.spent)
                    late[name] += driven.late
        with awake(sides["on"]):
            lanes = sides["on"].ledger()["lanes"]
        lane = next(lane for lane in lanes if lane["role"] == "challenger")
    off = np.asarray(times["off"])
    p50, p99 = (compare(np.asarray(times["on"]), off, rank) for rank in (0.5, 0.99))
    return Tax(
        challenger, rate, blocks, requests,
        float(np.median(off[::2]) / np.median(off[1::2])),
        p50, p99, tuple(np.quantile(off, [0.5, 0.99]).tolist()),
        (float(np.quantile(late["off"], 0.99)), float(np.quantile(late["on"], 0.99))),
        f"{lane['state']}, {lane['both_ok']} scored by both, {lane['pending']} pending",
    )  # fmt: skip


def compare(on: np.ndarray, off: np.ndarray, rank: float) -> Ratio:
    """Return the ratio of pooled quantiles; both are blocks by requests, in ms."""
    rng = np.random.default_rng(0)
    drawn = (rng.integers(0, len(on), len(on)) for _ in range(RESAMPLES))
    ratios = [np.quantile(on[i], rank) / np.quantile(off[i], rank) for i in drawn]
    low, high = np.quantile(ratios, [0.025, 0.975]).tolist()
    return Ratio(float(np.quantile(on, rank) / np.quantile(off, rank)), low, high)


def show(tax: Tax) -> None:
    """Print one row."""
    goals = GOALS.get(tax.challenger, GOAL)
    told = [
        f"{ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f}; ≤ {goal:.2f})"
        for ratio, goal in zip((tax.p50, tax.p99), goals, strict=True)
    ]
    met = tax.p50.value <= goals[0] and tax.p99.value <= goals[1]
    verdict = "invalid" if not tax.valid else "met" if met else "missed"
    print(
        f"| {tax.challenger} | {tax.rate:.0f} | {tax.blocks} of {tax.requests:,} | {tax.off_ms[0]:.2f}, "
        f"{tax.off_ms[1]:.2f} | {tax.off_off:.3f} | {told[0]} | {told[1]} | {verdict} | {tax.late_ms[0]:.1f}, {tax.late_ms[1]:.1f} | {tax.lane} |",
        flush=True,
    )


def asked_for(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--blocks", type=int, default=10, help="of each kind; at least 2")
    parser.add_argument("--requests", type=int, default=5_000, help="in each block")
    parser.add_argument("--challenger", nargs="+", choices=WORDS, default=list(WORDS))
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(words)


def main() -> None:
    """Print the table."""
    asked = asked_for()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        store = tiny.registered(root)
        gc.freeze()  # a collection in the client is nobody's slowness
        if not asked.json:
            print("| challenger | requests/s | blocks | off p50, p99 ms | off ÷ off p50 | p50 on ÷ off "
                  "| p99 on ÷ off | goal | client late, p99 ms off, on | challenger's lane |")  # fmt: skip
            print("|---|---|---|---|---|---|---|---|---|---|")
        for name in asked.challenger:
            tax = measure(name, store, root / name, blocks=asked.blocks, requests=asked.requests)
            rows.append(tax)
            if not asked.json:
                show(tax)
    if asked.json:
        print(json.dumps([{**asdict(tax), "valid": tax.valid} for tax in rows]))


if __name__ == "__main__":
    main()
