"""Rescoring a table beside bare `predict` of both versions, with as many processes: rows a second.

    python -m benchmarks.rescoring --rows 200000 --processes 2

The demo's films, v3 against v5, different rows in batches of 512. Bare: each process loads both versions with MLflow and calls
`predict` on its share of the rows, loading not counted. Rescored: the whole command, from its first scored request to its last,
and from its start to its end, once with the champion's answers in the table and once without. Steps are not timed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd

from models.films import COLUMNS
from models.films.versions import pages
from rig.films import registry
from rig.served import COMMAND
from shadowserve.state.lane_reading import snapshot

CHAMPION, CHALLENGER, BATCH = 3, 5, 512


def _bare(uri: str, rows: pd.DataFrame, gate: Any, spent: Any) -> None:
    import mlflow
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
    mlflow.set_tracking_uri(uri)
    versions = [mlflow.sklearn.load_model(f"models:/films/{n}") for n in (CHAMPION, CHALLENGER)]
    for version in versions:
        version.predict(rows[:BATCH])
    gate.wait()
    began = time.perf_counter()
    for version in versions:
        for at in range(0, len(rows), BATCH):
            version.predict(rows[at : at + BATCH])
    spent.put(time.perf_counter() - began)


def bare(uri: str, rows: pd.DataFrame, *, processes: int) -> float:
    """Return rows a second of both versions' `predict`, one after the other, with so many processes."""
    context = get_context("spawn")
    gate, spent = context.Barrier(processes), context.Queue()
    each = -(-len(rows) // processes)
    shares = [rows[at : at + each].reset_index(drop=True) for at in range(0, len(rows), each)]
    at_work = [context.Process(target=_bare, args=(uri, share, gate, spent)) for share in shares]
    for one in at_work:
        one.start()
    longest: float = max(spent.get() for _ in at_work)
    for one in at_work:
        one.join()
    return len(rows) / longest


def rescored(uri: str, table: Path, root: Path, *, n: int, processes: int) -> tuple[float, float]:
    """Return rows a second from the first scored to the last, and from the command's start to its end."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [
            COMMAND, "rescore", str(table), "--champion", f"films:{CHAMPION}", "--challenger", f"films:{CHALLENGER}",
            "--tracking-uri", uri, "--state-dir", str(root), "--batch", "on", "--lane-processes",
            f"{CHALLENGER}={processes}", "--json",
        ],
        stdout=subprocess.DEVNULL,
        env=os.environ,
    )  # fmt: skip
    first: tuple[float, int] | None = None
    last = began
    while process.poll() is None:
        for state in root.glob(f"rescored/*/lanes/challenger-v{CHALLENGER}/state.db"):
            done = sum(snapshot(state, whole=False).cursor.values())
            now = time.perf_counter()
            if done and first is None:
                first = (now, done)
            if first is not None and done < n:
                last = now
        time.sleep(0.05)
    whole = time.perf_counter() - began
    if process.returncode not in (0, 1, 3) or first is None:
        raise SystemExit(f"the command ended with {process.returncode}")
    return (n - first[1]) / (last - first[0]), n / whole


def answered(uri: str, rows: pd.DataFrame) -> list[Any]:
    """Return the champion's answers."""
    import mlflow

    mlflow.set_tracking_uri(uri)
    champion = mlflow.sklearn.load_model(f"models:/films/{CHAMPION}")
    found: list[Any] = []
    for at in range(0, len(rows), BATCH):
        found += list(champion.predict(rows[at : at + BATCH]))
    return found


def main() -> None:
    """Print the table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rows", type=int, default=200_000)
    asked.add_argument("--processes", type=int, default=2)
    given = asked.parse_args()
    n, processes = given.rows, given.processes
    with tempfile.TemporaryDirectory(prefix="rescoring-") as folder:
        root = Path(folder)
        uri = registry(root)
        known = pages()[[one.name for one in COLUMNS]]
        rows = known.sample(n, replace=True, random_state=0).reset_index(drop=True)
        rows.to_parquet(root / "without.parquet")
        rows.assign(prediction=answered(uri, rows)).to_parquet(root / "answered.parquet")
        reference = bare(uri, rows, processes=processes)
        load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
        print(f"{n:,} rows, {processes} processes; load {load}", file=sys.stderr)
        print("| | rows a second | of bare | with start and end |\n|---|---|---|---|")
        print(f"| bare `predict` of both | {reference:,.0f} | 1 | |", flush=True)
        for name in ("answered", "without"):
            state = root / name
            rate, whole = rescored(uri, root / f"{name}.parquet", state, n=n, processes=processes)
            told = "recorded answers" if name == "answered" else "champion scored too"
            print(f"| {told} | {rate:,.0f} | {rate / reference:.2f} | {whole:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
