"""Report, page and comparisons of a deployment that has compared up to ten million requests.

    python -m benchmarks.analysis                         1,000 to 10,000,000
    python -m benchmarks.analysis --sizes 1000 100000

A lane's own code scores some thousand requests of a small pipeline, beside the champion, with its
control. From then on its parts are written again and again with the positions, windows and ids that
would follow, as wide as a lane's windows get; its file gets the ledger, the windows and the bursts of
so many requests. Each task runs in a process of its own, which tells its time without imports and the
most memory that it ever held (Linux: VmHWM); `wall` is the whole command.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SIZES = (1_000, 100_000, 1_000_000, 10_000_000)
SEED = 8_000
"""Requests that a lane really scores; more are made from them."""
LANE = "challenger v4"
GOALS_S = {"report": 5.0, "page": 1.0}
GOAL_MIB = 1_024
TOO_MANY_FOR_A_FRAME = 1_000_000


def grown(root: Path, sizes: Sequence[int]) -> Iterator[tuple[int, Path]]:
    """Yield a state directory for each size; the later ones hold the earlier."""
    import pyarrow.parquet as pq

    from rig.deployment import CHALLENGER, CONTROL, deployment, made
    from rig.lane import answer, work
    from rig.scoring import native, pipeline
    from shadowserve.lane.windows import WINDOW_REQUESTS, width_factor
    from shadowserve.state import deployment as deployments

    places = made(root / "state", CHALLENGER, CONTROL)
    deployments.write(places, deployment())
    champion = native(pipeline(), number=3)
    answer(places, [_record(n) for n in range(SEED)], champion=champion)
    work(places, native(pipeline(weight=2.5), number=4), name=CHALLENGER, rescore=True)
    work(places, champion, name=CONTROL, rescore=True)
    files = places.lane(CHALLENGER.role, CHALLENGER.version)
    pool = pq.read_table(files.parts).sort_by("position")
    for part in files.parts.glob("*.parquet"):
        part.unlink()
    n = number = 0
    for size in sorted(sizes):
        while n < size:
            wide = min(WINDOW_REQUESTS * width_factor(number), size - n)
            _write_part(files.parts, pool, first=n + 1, n=wide, window=number)
            n, number = n + wide, number + 1
        for lane in (CHALLENGER, CONTROL):
            _pretend(places.lane(lane.role, lane.version).state, n=n, windows=number)
        yield size, places.root


def _record(n: int) -> dict[str, Any]:
    words = " ".join(("red", "blue", "green", "gold")[(n * k) % 4] for k in range(1 + n % 40))
    return {"age": float(n % 97), "title": words}


def _write_part(folder: Path, pool: Any, *, first: int, n: int, window: int) -> None:
    """Write a window's part as a lane does, with what was answered to other requests."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from shadowserve.lane.tables import SCHEMA

    start = (first * 31) % len(pool)
    pieces, wanted = [], n
    while wanted:
        pieces.append(pool.slice(start, wanted))
        wanted -= len(pieces[-1])
        start = 0
    table = pa.concat_tables(pieces)
    places = np.arange(first, first + n)
    arrived = 1_700_000_000_000_000_000 + places * 1_000_000
    for name, values in (
        ("position", pa.array(places)),
        ("request_id", pa.array([f"{place * 2_654_435_761 % 2**64:016x}" for place in places.tolist()])),
        ("arrived_wall_ns", pa.array(arrived)),
        ("window", pa.array(np.full(n, window))),
    ):  # fmt: skip
        table = table.set_column(table.schema.get_field_index(name), name, values)
    path = folder / f"{first:020d}-{first + n - 1:020d}.parquet"
    pq.write_table(table.cast(SCHEMA), path, compression="zstd")


def _pretend(path: Path, *, n: int, windows: int) -> None:
    """Give a lane's file the ledger, the windows and the bursts of so many requests."""
    with closing(sqlite3.connect(path)) as file, file:
        (known,) = file.execute("SELECT max(number) FROM window").fetchone()
        first, width = file.execute("SELECT min(position), max(position) FROM burst").fetchone()
        file.execute("UPDATE ledger SET n = ? WHERE outcome = 'both_ok'", (n,))
        file.executemany(
            "INSERT OR IGNORE INTO window SELECT ?, opened_ns, closed_ns, n, metrics, part "
            "FROM window WHERE number = 0",
            ((number,) for number in range((known or 0) + 1, windows)),
        )
        (bursts,) = file.execute("SELECT count(*) FROM burst").fetchone()
        while first is not None and bursts and bursts < min(n // 10, 20_000):
            file.execute(
                "INSERT OR IGNORE INTO burst SELECT position + ?, burst, place, record FROM burst",
                (width - first + 1,),
            )
            first, width = file.execute("SELECT min(position), max(position) FROM burst").fetchone()
            (bursts,) = file.execute("SELECT count(*) FROM burst").fetchone()


def report(state: Path) -> Callable[[], Any]:
    """`shadowserve report --json`."""
    from shadowserve.cli import main

    def run() -> None:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
            main(["report", "--json", "--state-dir", str(state)])

    return run


def page(state: Path) -> Callable[[], Any]:
    """The console's page, once it has been asked before."""
    from rig.asgi import called
    from shadowserve.console.app import Console
    from shadowserve.state.places import Places

    app = Console(Places(state)).app()
    headers = {"host": "127.0.0.1"}
    first = called(app, "GET", "/report.html", headers=headers)
    if first.status_code != 200:
        raise RuntimeError(f"the page answered {first.status_code}: {first.text[:200]}")
    return lambda: called(app, "GET", "/report.html", headers=headers)


def frame(state: Path) -> Callable[[], Any]:
    """All comparisons with all columns, as a frame; then the mean disagreement by window."""
    import shadowserve

    def run() -> Any:
        found = shadowserve.local_comparisons(state, LANE)
        return found.groupby("window")["disagreement"].mean()

    return run


def _scanning(ask: Callable[[Any], Any]) -> Callable[[Path], Callable[[], Any]]:
    def task(state: Path) -> Callable[[], Any]:
        import shadowserve

        def run() -> Any:
            with shadowserve.scan_local_comparisons(state, LANE) as found:
                return ask(found)

        return run

    return task


BY_WINDOW = """
    SELECT "window", count(*) AS n, avg(disagreement) AS disagreement,
           approx_quantile(lane_ms, 0.99) AS lane_p99_ms
    FROM comparisons GROUP BY "window" ORDER BY "window"
"""
BY_SIZE = """
    SELECT floor(log2(sizes['title'])) AS size, count(*) AS n,
           median(lane_steps_ms['columns/words']) AS ms
    FROM comparisons GROUP BY ALL ORDER BY ALL
"""
WORST = """
    SELECT position, request_id, disagreement, champion_prediction, lane_prediction
    FROM comparisons ORDER BY disagreement DESC NULLS LAST, position LIMIT 8
"""


def _all_batches(found: Any) -> float:
    return sum(float(one["lane_ms"].sum()) for one in found.batches(["position", "lane_ms"]))


TASKS: dict[str, Callable[[Path], Callable[[], Any]]] = {
    "report": report,
    "page": page,
    "frame": frame,
    "count": _scanning(len),
    "SQL: by window": _scanning(lambda found: found.sql(BY_WINDOW)),
    "SQL: step by size": _scanning(lambda found: found.sql(BY_SIZE)),
    "SQL: the worst eight": _scanning(lambda found: found.sql(WORST)),
    "two columns where lane_ms is high": _scanning(
        lambda found: found.frame(["position", "lane_ms"], where="lane_ms > 5")
    ),
    "two columns, all rows": _scanning(lambda found: found.frame(["position", "disagreement"])),
    "two columns in batches": _scanning(_all_batches),
}


def measure(task: str, state: Path) -> dict[str, float]:
    """Run one task in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.analysis", "--task", task, str(state)]
    began = time.perf_counter()
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - began
    if ran.returncode:
        raise SystemExit(f"{task}: {ran.stderr[-2_000:]}")
    return {**json.loads(ran.stdout.splitlines()[-1]), "wall_s": wall}


def told(task: str, state: Path) -> dict[str, float]:
    """Run a task here, and say what it took."""
    run = TASKS[task](state)
    began = time.perf_counter()
    run()
    spent = time.perf_counter() - began
    status = Path("/proc/self/status")
    peak = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    return {"s": spent, "mib": int(peak[0].split()[1]) / 1_024}


def main(words: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--only", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--keep", type=Path, help="make the state directory here, and leave it")
    parser.add_argument("--task", nargs=2, metavar=("TASK", "STATE"), help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(words)
    if asked.task:
        print(json.dumps(told(asked.task[0], Path(asked.task[1]))))
        return
    root = asked.keep or Path(tempfile.mkdtemp(prefix="shadowserve-analysis-"))
    found = []
    try:
        if not asked.json:
            print(
                "| comparisons | task | s | whole command, s | most memory, MiB |\n|---|---|---|---|---|"
            )
        for size, state in grown(root, asked.sizes):
            for task in asked.only:
                if task == "frame" and size > TOO_MANY_FOR_A_FRAME:
                    continue
                one = {"comparisons": size, "task": task, **measure(task, state)}
                found.append(one)
                if not asked.json:
                    print(
                        f"| {size:,} | {task} | {one['s']:.2f} | {one['wall_s']:.1f} | {one['mib']:,.0f} |",
                        flush=True,
                    )
    finally:
        if not asked.keep:
            shutil.rmtree(root, ignore_errors=True)
    if asked.json:
        print(json.dumps(found))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
