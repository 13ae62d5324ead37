"""Does a version look slower, or different, than itself?

    python -m benchmarks.fairness                    20 deployments of films v3 against v3
    python -m benchmarks.fairness --model likes --runs 5 --requests 1000

Each run is a deployment of its own: the champion's version once more as challenger, and as control.
It answers real requests over HTTP. The lanes score them, and the report tells the median of the
paired latency ratio. Goals: the median ratio of every run within 0.97 to 1.03, and no alarm in any.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.detection.__main__ import CATCH_UP_S, caught_up, serving
from models import traffic
from models.register import ensure
from shadowserve.cli.demo_traffic import DemoTraffic

VERSION = 3
LOW, HIGH = 0.97, 1.03
LOOKS = 10
STREAMS = {"films": traffic.films, "likes": traffic.likes, "diamonds": traffic.diamonds}


@dataclass(frozen=True, slots=True)
class Run:
    """What one deployment said of a version against itself."""

    ratio: float
    low: float
    high: float
    pairs: int
    disagreement: float
    alarms: tuple[str, ...]
    balanced: bool


def main() -> None:
    """Play the runs and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", choices=STREAMS, default="films")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--requests", type=int, default=4_000)
    asked = parser.parse_args()
    print("| run | paired ratio | interval | pairs | divergence | alarms | ledger |")
    print("|---|---|---|---|---|---|---|", flush=True)
    runs = []
    with tempfile.TemporaryDirectory(prefix="fairness-") as folder:
        uri = f"sqlite:///{folder}/mlflow.db"
        ensure(uri, models=(asked.model,))
        for number in range(1, asked.runs + 1):
            runs.append(play(asked.model, uri, Path(folder) / str(number), asked.requests, number))
            print(line(number, runs[-1]), flush=True)
    ratios = [run.ratio for run in runs]
    within = sum(LOW <= ratio <= HIGH for ratio in ratios)
    alarms = sum(bool(run.alarms) for run in runs)
    print(
        f"\nMedian ratio of {len(runs)} runs {statistics.median(ratios):.3f}, from {min(ratios):.3f} "
        f"to {max(ratios):.3f}; {within} within {LOW} to {HIGH}; {alarms} with an alarm."
    )


def line(number: int, run: Run) -> str:
    """Return a row of the table."""
    return (
        f"| {number} | {run.ratio:.3f} | {run.low:.3f} to {run.high:.3f} | {run.pairs} | "
        f"{run.disagreement:g} | {', '.join(run.alarms) or 'none'} | "
        f"{'balanced' if run.balanced else 'NOT balanced'} |"
    )


def play(model: str, uri: str, folder: Path, n: int, seed: int) -> Run:
    """Serve a version against itself, look ten times on the way, and return what was said."""
    folder.mkdir()
    records = list(STREAMS[model](n, seed=seed))
    alarms: dict[str, None] = {}
    with serving(model, VERSION, VERSION, uri, folder, ()) as facts:
        for start in range(0, n, n // LOOKS):
            replay = DemoTraffic(
                "127.0.0.1",
                int(facts["port"]),
                records[start : start + n // LOOKS],
                sent=lambda: None,
            )
            replay.start()
            while not replay.finished:
                time.sleep(0.02)
            report = caught_up(int(facts["console_port"]), seconds=CATCH_UP_S)
            alarms |= dict.fromkeys(alarming(report))
    ratio = report["latency"]["paired_ratio"]
    return Run(
        ratio=ratio["work"] or float("nan"),
        low=ratio["low"] or 0.0,
        high=ratio["high"] or float("inf"),
        pairs=ratio["n"],
        disagreement=report["divergence"]["disagreement"]["mean"],
        alarms=tuple(alarms),
        balanced=report["ledger"]["balanced"],
    )


def alarming(report: dict[str, Any]) -> list[str]:
    """Return the kinds of the alarms in a report."""
    return [f["kind"] for f in report["findings"] if f["severity"] in ("warning", "critical")]


if __name__ == "__main__":
    main()
