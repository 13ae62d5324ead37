"""Full peak for minutes: does a lane keep up with a champion at 0.8 of what it can do at most, on the same machine?

    python -m benchmarks.sustained --plot docs/sustained.svg
    python -m benchmarks.sustained --minutes 1 --share 0.5 --lane-processes 2

A deployment of the tiny champion (a number and a text) with a challenger, the control, evidence and console.
The champion's peak is what 64 closed-loop connections get from it, lanes at work, after a warm-up. Then requests
arrive at 0.8 of that, Poisson and open loop, for ten minutes; the client runs on this machine too. Each second the
ledger is read: how old the oldest request is that a lane has not scored, and how many wait, as `status` says it.

Lanes stand still on purpose for half a minute in five, to show what they cost callers, and catch up in the next: the goal is
of the rest of the time, and the standstill is told apart.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks import openloop
from rig import tiny
from rig.served import Served
from shadowserve.state import deployment as deployments
from shadowserve.state.places import Places
from shadowserve.statistics.switchback import Block, Schedule

CLIENTS = 64
WARM_UP = 2_000
PEAK_REQUESTS = 8_000
CHUNK = 5_000
SHARE = 0.8
GOAL_S = 5.0
LOOK_S = 1.0
COLOURS = {"challenger": "#1b6ca8", "control": "#c0392b"}


@dataclass(frozen=True, slots=True)
class Look:
    """One reading of the ledger: seconds since the beginning, whether lanes were to work, and by lane what waits."""

    at_s: float
    working: bool
    lag_s: dict[str, float]
    pending: dict[str, int]


class Watch:
    """Reads the ledger each second, in a thread of its own."""

    def __init__(self, served: Served) -> None:
        self._url = f"{served.console}/status.json"
        deployment = deployments.read(Places(served.state))
        assert deployment is not None
        self._schedule = Schedule.of(deployment.started, deployment.salt)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.looks: list[Look] = []

    def __enter__(self) -> Watch:
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        with httpx.Client(timeout=60.0, trust_env=False) as client:
            while not self._ended.wait(LOOK_S):
                lanes = client.get(self._url).json()["lanes"]
                self.looks.append(
                    Look(
                        time.monotonic() - self._began,
                        self._schedule.block(time.time_ns())[1]
                        not in (Block.STILL, Block.CATCH_UP),
                        {lane["role"]: lane["lag_seconds"] for lane in lanes},
                        {lane["role"]: lane["pending"] for lane in lanes},
                    )
                )


def requests(first: int, n: int) -> list[bytes]:
    """Return so many whole requests of 500 different rows."""
    made = []
    for i in range(first, first + n):
        row = tiny.row((i * 7919 % 500 - 250) / 100, "n" * (1 + i % 7))
        made.append(
            openloop.post(json.dumps({"dataframe_records": [row]}).encode(), f"sustained-{i}")
        )
    return made


def settled(served: Served) -> None:
    """Wait until nothing is pending."""
    served.settled(seconds=600)


def measure(served: Served, *, minutes: float, share: float) -> dict[str, Any]:
    """Find the peak, keep to a share of it for some minutes, and return what was seen."""
    port = served.facts["port"]
    openloop.capacity(port, requests(0, WARM_UP), clients=CLIENTS)
    settled(served)
    peak = openloop.capacity(port, requests(WARM_UP, PEAK_REQUESTS), clients=CLIENTS)
    settled(served)
    rate, sent, spent, late = share * peak, 0, [], []
    with Watch(served) as watch:
        until = time.monotonic() + 60 * minutes
        while time.monotonic() < until:
            n = min(CHUNK, max(1, int(rate * (until - time.monotonic()))))
            arrivals = openloop.poisson(n, rate=rate, seed=sent)
            driven = openloop.drive(port, requests(sent, n), arrivals)
            sent += n
            spent += driven.spent
            late += driven.late
    ended = time.monotonic()
    settled(served)
    return {
        "peak_per_s": peak,
        "rate_per_s": rate,
        "sent": sent,
        "minutes": minutes,
        "p50_ms": float(np.quantile(spent, 0.5)),
        "p99_ms": float(np.quantile(spent, 0.99)),
        "late_p99_ms": float(np.quantile(late, 0.99)),
        "caught_up_after_s": time.monotonic() - ended,
        "balanced": served.ledger()["balanced"],
        "sampled_out": served.lane(tiny.BETTER)["sampled_out"],
        "looks": [asdict(look) for look in watch.looks],
    }


def plot(path: Path, looks: Sequence[Look]) -> None:
    """Write lag over time as a small SVG, a line for each lane, and the goal."""
    end = max(look.at_s for look in looks)
    top = 1.1 * max(GOAL_S, *(max(look.lag_s.values()) for look in looks))

    def at(seconds: float, lag: float) -> str:
        return f"{50 + 540 * seconds / end:.0f},{200 - 180 * lag / top:.0f}"

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 700 230" font-family="sans-serif" font-size="12">',
        f'<polyline points="{at(0, GOAL_S)} {at(end, GOAL_S)}" stroke="#999" stroke-dasharray="4"/>',
    ]
    width = 540 * LOOK_S / end
    for look in looks:
        if not look.working:
            x = float(at(look.at_s, 0).partition(",")[0]) - width
            parts.append(
                f'<rect x="{x:.1f}" y="20" width="{width + 0.5:.1f}" height="180" fill="#eee"/>'
            )
    for n, role in enumerate(looks[0].lag_s):
        colour = COLOURS.get(role, "#27854a")
        points = " ".join(at(look.at_s, look.lag_s[role]) for look in looks)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}"/>')
        parts.append(f'<text x="600" y="{40 + 18 * n}" fill="{colour}">{role}</text>')
    parts += [
        '<path d="M50 20V200H590" fill="none" stroke="#333"/>',
        f'<text x="2" y="24">{top:.0f} s</text>',
        f'<text x="2" y="{204 - 180 * GOAL_S / top:.0f}">{GOAL_S:g} s</text>',
        '<text x="50" y="218" fill="#666">grey: lanes stand still on purpose, and catch up</text>',
        f'<text x="520" y="218">{end / 60:.1f} min</text></svg>',
    ]
    path.write_text("\n".join(parts) + "\n")


def table(told: dict[str, Any]) -> str:
    """Return the table: what came, and by lane how far behind it was."""
    looks = [Look(**look) for look in told["looks"]]
    lines = [
        f"Peak {told['peak_per_s']:,.0f} requests a second; {told['rate_per_s']:,.0f} came for "
        f"{told['minutes']:g} min ({told['sent']:,}). The champion answered in {told['p50_ms']:.1f} ms (p50) and "
        f"{told['p99_ms']:.0f} ms (p99); the client sent up to {told['late_p99_ms']:.0f} ms late (p99). Lanes had "
        f"caught up {told['caught_up_after_s']:.0f} s after the last one.",
        "",
        f"| lane | lag p50 | lag p99 | lag at most | waiting at most | after a standstill | goal: at most {GOAL_S:g} s |",
        "|---|---|---|---|---|---|---|",
    ]
    for role in looks[0].lag_s:
        lags = [look.lag_s[role] for look in looks if look.working]
        still = max((look.lag_s[role] for look in looks if not look.working), default=0.0)
        p50, p99 = np.quantile(lags, [0.5, 0.99]).tolist()
        most = max(look.pending[role] for look in looks if look.working)
        held = "held" if max(lags) < GOAL_S else "missed"
        lines.append(
            f"| {role} | {p50:.1f} s | {p99:.1f} s | {max(lags):.1f} s | {most:,} | {still:.1f} s | {held} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Print the table, and draw the plot."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--share", type=float, default=SHARE, help="of the peak")
    parser.add_argument("--lane-processes", default="1")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sustained-") as folder:
        store = tiny.registered(Path(folder))
        options = ("--lane-processes", asked.lane_processes)
        with Served(Path(folder) / "served", store, *options) as served:
            told = measure(served, minutes=asked.minutes, share=asked.share)
            served.stop()
    if asked.plot:
        plot(asked.plot, [Look(**look) for look in told["looks"]])
    print(json.dumps(told) if asked.json else table(told))


if __name__ == "__main__":
    main()
