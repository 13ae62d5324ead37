"""What a second process brings to a lane that catches up: requests a second with one and with two.

    python -m benchmarks.lane_processes

The whole lane works through a journal that is complete, beyond its first thousand requests and measuring included: it
reads, types, scores, compares and commits. A slow model takes 5 ms a row, waiting; the pipeline computes. Needs two cores that nobody else uses.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from rig.deployment import CHALLENGER, CONTROL, made
from rig.lane import answer, records, work
from rig.scoring import double, native, opaque, pipeline
from shadowserve.scorer.scorer import Scorer
from shadowserve.state.lane_reading import snapshot
from shadowserve.statistics.measuring import FIRST

N_SLOW, N_PIPELINE, ROUNDS = 3_000, 9_000, 2


def slow(frame: Any, params: Any) -> Any:
    """Take 5 ms for each row."""
    time.sleep(0.005 * len(frame))
    return double(frame, params)


def rate(version: Callable[[int], Scorer], n: int, *, processes: int) -> float:
    """Return requests a second of a lane with so many processes."""
    with tempfile.TemporaryDirectory(prefix="lane-processes-") as folder:
        places = made(Path(folder), CHALLENGER, CONTROL)
        answer(places, records(n), champion=opaque(double, number=3), arrived_wall_ns=10**18)
        work(places, version(4), upto=FIRST)  # all timed alone, by whoever reads
        began, done = (
            time.perf_counter(),
            sum(snapshot(places.lane(CHALLENGER.role, CHALLENGER.version).state).outcomes.values()),
        )
        work(places, version(4), scorers=processes - 1)
        return (n - done) / (time.perf_counter() - began)


def main() -> None:
    """Print the table."""
    threadpool_limits(1)
    print("| model | 1 process | 2 processes | ratio |\n|---|---|---|---|")
    kinds: list[tuple[str, Callable[[int], Scorer], int]] = [
        ("5 ms a row", lambda n: opaque(slow, number=n), N_SLOW),
        ("pipeline", lambda n: native(pipeline(), number=n), N_PIPELINE),
    ]
    for name, version, n in kinds:
        found = [[rate(version, n, processes=k) for k in (1, 2)] for _ in range(ROUNDS)]
        one, two = (statistics.median(column) for column in zip(*found, strict=True))
        ratio = statistics.median(b / a for a, b in found)
        print(f"| {name} | {one:,.0f} /s | {two:,.0f} /s | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
