"""Memory of every process, and the journal's bytes, over half a million requests.

    python -m benchmarks.soak --requests 500000 --plot soak.svg

A tiny champion, a challenger and the control; 16 closed-loop connections in one thread. Calls pause
while a lane has more than 20,000 requests pending, so that lanes keep up and finished journal segments
go. Each request has an id of its own, and one in a hundred a column that nobody has seen before.
Memory is the proportional set size (PSS) where Linux tells it, else the resident set. The slope is a
line through the second half of the samples, in MB per 100,000 requests.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import tempfile
import time
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil

from benchmarks import openloop
from rig import tiny
from rig.served import Served

CLIENTS = 16
BATCH = 2_000
MOST_PENDING = 20_000
GOAL_MB = 2.0
COLOURS = ("#1b6ca8", "#c0392b", "#27854a", "#8e44ad", "#b9770e", "#16858a", "#555555")


def bodies(first: int, n: int) -> list[bytes]:
    """Return requests `first` to `first + n`, whole HTTP messages."""
    made = []
    for i in range(first, first + n):
        row = tiny.row((i % 601 - 300) / 100, "n" * (1 + i % 7))
        if i % 100 == 0:
            row[f"unknown_{i}"] = i
        body = json.dumps({"dataframe_records": [row]}).encode()
        made.append(openloop.post(body, f"soak-{i}"))
    return made


def memory(served: Served) -> dict[str, float]:
    """Return megabytes by process: named by its place, so that a restart shows as a step."""
    assert served.process is not None
    own = psutil.Process(served.process.pid)
    told = {"supervisor": own}
    for lane in served.ledger()["lanes"]:
        pid = served.lane_pid(lane["version"], lane["role"])
        told[lane["role"]] = psutil.Process(pid)
    told["champion"] = psutil.Process(served.worker_pid())
    for name in ("console", "evidence"):
        told[name] = psutil.Process(served.titled(f"shadowserve {name}"))
    known = {process.pid for process in told.values()}
    rest = [process for process in served.processes() if process.pid not in known]
    sizes = {name: _mb(process) for name, process in told.items()}
    return {**sizes, "others": sum(_mb(process) for process in rest)}


def _mb(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        full = process.memory_full_info()
        return float(getattr(full, "pss", full.rss)) / 1e6
    return float("nan")


def slope(requests: list[int], sizes: list[float]) -> float:
    """Return MB per 100,000 requests over the second half; NaN with fewer than three samples."""
    half = len(sizes) // 2
    x, y = np.asarray(requests[half:]) / 1e5, np.asarray(sizes[half:])
    return float(np.polyfit(x, y, 1)[0]) if len(x) > 2 else float("nan")


@dataclass(frozen=True, slots=True)
class Weight:
    """Journal bytes per request: once a segment is closed, and with the open one's write-ahead log."""

    closed: float
    open: float


def weigh(served: Served) -> Weight:
    """Weigh the journal while no lane has let a segment go; by pages, as closing folds the log in."""
    n = pages = 0
    for path in (served.state / "journal").glob("*.db"):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as segment:
            n += segment.execute("SELECT count(*) FROM request").fetchone()[0]
            page = segment.execute("PRAGMA page_size").fetchone()[0]
            pages += page * segment.execute("PRAGMA page_count").fetchone()[0]
    on_disk = sum(path.stat().st_size for path in (served.state / "journal").glob("*"))
    return Weight(pages / n, on_disk / n)


def throttle(served: Served) -> None:
    """Wait until lanes are near enough."""
    while max(lane["pending"] for lane in served.ledger()["lanes"]) > MOST_PENDING:
        time.sleep(0.5)


def run(served: Served, n: int, *, every: int) -> tuple[list[int], list[dict[str, float]], Weight]:
    """Send requests, sampling as they go; return counts, sizes, and the first part's bytes a request.

    The journal is weighed after the first batch, before lanes let a segment go.
    """
    port = served.facts["port"]
    counts: list[int] = []
    sizes: list[dict[str, float]] = []
    weight = Weight(float("nan"), float("nan"))
    for first in range(0, n, BATCH):
        openloop.capacity(port, bodies(first, min(BATCH, n - first)), clients=CLIENTS)
        sent = min(first + BATCH, n)
        if first == 0:
            weight = weigh(served)
        if sent // every > first // every:
            counts.append(sent)
            sizes.append(memory(served))
        throttle(served)
    return counts, sizes, weight


def plot(path: Path, counts: list[int], sizes: list[dict[str, float]]) -> None:
    """Write megabytes over requests as SVG, one line a process."""
    top = max(max(each.values()) for each in sizes) * 1.1
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 340" font-family="sans-serif" font-size="12">'
    ]
    for colour, name, at in zip(COLOURS, sizes[0], range(len(COLOURS)), strict=False):
        points = " ".join(
            f"{50 + 520 * n / counts[-1]:.1f},{300 - 280 * each[name] / top:.1f}"
            for n, each in zip(counts, sizes, strict=True)
        )
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        )
        parts.append(f'<text x="580" y="{30 + 18 * at}" fill="{colour}">{name}</text>')
    parts.append('<path d="M50 20V300H570" fill="none" stroke="#333"/>')
    parts.append(
        f'<text x="4" y="24">{top:.0f} MB</text><text x="500" y="318">{counts[-1]:,}</text></svg>'
    )
    path.write_text("\n".join(parts))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=500_000)
    parser.add_argument("--every", type=int, default=5_000, help="requests between two samples")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with Served(root / "served", tiny.register(root)) as served:
            answer = served.post()
            counts, sizes, weight = run(served, asked.requests, every=asked.every)
    body = len(json.dumps({"dataframe_records": [tiny.row()]}))
    goal = 1.3 * (body + len(answer.content)) + 200
    slopes = {name: slope(counts, [each[name] for each in sizes]) for name in sizes[0]}
    if asked.plot:
        plot(asked.plot, counts, sizes)
    if asked.json:
        told = {
            "requests": counts,
            "mb": sizes,
            "slopes": slopes,
            "journal": asdict(weight),
            "goal": goal,
        }
        print(json.dumps(told))
        return
    print(
        "| process | MB first | MB last | MB per 100,000 requests | goal |\n|---|---|---|---|---|"
    )
    for name, value in slopes.items():
        wanted = f"below {GOAL_MB:g}" if name in ("champion", "challenger", "control") else "-"
        print(f"| {name} | {sizes[0][name]:.1f} | {sizes[-1][name]:.1f} | {value:.2f} | {wanted} |")
    print(
        f"\njournal: {weight.closed:.0f} bytes a request once closed, {weight.open:.0f} on disk "
        f"while open; goal at most {goal:.0f}"
    )


if __name__ == "__main__":
    main()
