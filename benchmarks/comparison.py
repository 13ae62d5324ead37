"""What a comparison costs, and what a tally weighs.

    python benchmarks/comparison.py            cost a row, in batches of 256
    python benchmarks/comparison.py --memory   state and process size, 10,000 to 2,000,000 rows

Goals: at most 15 µs a row for numbers and labels, 60 µs for rankings of ten items, comparison and
tally together; memory flat.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
from threadpoolctl import threadpool_limits

from shadowserve.divergence import Kind, divergence_of, tally

N_ROWS = 256
Batch = tuple[list[Any], list[Any]]
RNG = np.random.default_rng(20)


def numbers() -> Batch:
    a = RNG.lognormal(size=N_ROWS)
    return a.tolist(), (a * RNG.normal(1, 0.1, N_ROWS)).tolist()


def labels() -> Batch:
    return RNG.integers(0, 5, N_ROWS).tolist(), RNG.integers(0, 5, N_ROWS).tolist()


def probabilities() -> Batch:
    return RNG.dirichlet(np.ones(3), N_ROWS).tolist(), RNG.dirichlet(np.ones(3), N_ROWS).tolist()


def rankings() -> Batch:
    def one() -> list[list[int]]:
        return [RNG.choice(3_000, 10, replace=False).tolist() for _ in range(N_ROWS)]

    return one(), one()


def vectors() -> Batch:
    return RNG.normal(size=(N_ROWS, 64)).tolist(), RNG.normal(size=(N_ROWS, 64)).tolist()


def texts() -> Batch:
    words = np.array(["ship", "crew", "storm", "island", "letter", "winter", "train"])

    def one() -> list[str]:
        return [" ".join(RNG.choice(words, 30)) for _ in range(N_ROWS)]

    return one(), one()


def records() -> Batch:
    def one() -> list[dict[str, Any]]:
        a, b = numbers()[0], labels()[0]
        return [{"score": x, "grade": y} for x, y in zip(a, b, strict=True)]

    return one(), one()


KINDS: dict[Kind, Callable[[], Batch]] = {
    Kind.NUMBER: numbers,
    Kind.LABEL: labels,
    Kind.PROBABILITY: probabilities,
    Kind.RANKING: rankings,
    Kind.VECTOR: vectors,
    Kind.TEXT: texts,
    Kind.RECORD: records,
}


def cost(kind: Kind, *, repeats: int = 60) -> dict[str, float]:
    """Median time a row in µs, of comparing alone and with the tally."""
    batches = [KINDS[kind]() for _ in range(4)]
    divergence = divergence_of(kind, sample=batches[0][0])
    remembered = tally(divergence)
    compare_us, whole_us = [], []
    for i in range(repeats):
        champion, lane = batches[i % 4]
        start = time.perf_counter()
        found = divergence.compare(champion, lane)
        middle = time.perf_counter()
        remembered.add(champion, lane, found)
        compare_us.append((middle - start) / N_ROWS * 1e6)
        whole_us.append((time.perf_counter() - start) / N_ROWS * 1e6)
    return {"compare_us": float(np.median(compare_us)), "with_tally_us": float(np.median(whole_us))}


def memory(kind: Kind, *, marks: tuple[int, ...] = (10_000, 100_000, 2_000_000)) -> dict[str, Any]:
    """Size of the tally's state in kB, and growth of the process in MB, at some numbers of rows."""
    batches = [KINDS[kind]() for _ in range(40)]
    divergence = divergence_of(kind, sample=batches[0][0])
    remembered = tally(divergence)
    found: dict[str, Any] = {}
    first, n_rows = 0, 0
    for mark in marks:
        while n_rows < mark:
            champion, lane = batches[(n_rows // N_ROWS) % len(batches)]
            remembered.add(champion, lane, divergence.compare(champion, lane))
            n_rows += N_ROWS
        gc.collect()
        rss = psutil.Process().memory_info().rss
        first = first or rss
        state_kb = round(len(json.dumps(remembered.state())) / 1e3, 1)
        found[f"{mark:,}"] = {"state_kb": state_kb, "grown_mb": round((rss - first) / 1e6, 1)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory", action="store_true", help="weigh the tallies instead")
    parser.add_argument("--kind", choices=[str(k) for k in KINDS], action="append")
    asked = parser.parse_args()
    threadpool_limits(1)  # as in a lane
    for kind in [Kind(name) for name in asked.kind or KINDS]:
        print(json.dumps({"kind": str(kind), **(memory(kind) if asked.memory else cost(kind))}))


if __name__ == "__main__":
    main()
