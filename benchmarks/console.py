"""What the console's first page weighs and takes, of a lane as large as a million comparisons make it.

``python -m benchmarks.console STATE`` copies a stopped deployment's state directory (that of a demo, say) and
fills the copy with as much as a lane ever keeps: 20,000 requests of bursts in either lane, and 1,600 closed windows,
which is what a million requests leave. Summaries are of bounded size and stay as they are. ``made anew`` is what a
button's page takes, ``after commits`` what each tick takes while traffic comes: both lanes have written all of their
summaries anew, and a burst. A tick for fifty streams is one report, one page and fifty answers.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import httpx

from shadowserve.console.app import Console
from shadowserve.console.pages import asset
from shadowserve.state.places import Places

BURST_ROWS = 20_000
WINDOWS = 1_600
LOOKS = 5
STREAMS = 50


def widened(state: Path) -> None:
    """Fill a lane's file to its bounds, with copies of what it holds."""
    connection = sqlite3.connect(state)
    with connection:
        bursts = connection.execute("SELECT position, burst, place, record FROM burst").fetchall()
        n = max((row[0] for row in bursts), default=0)
        more = (
            (n + at, row[1], row[2], row[3])
            for at, row in enumerate((bursts * (BURST_ROWS // max(len(bursts), 1))), start=1)
        )
        connection.executemany("INSERT INTO burst VALUES (?, ?, ?, ?)", more)
        windows = connection.execute("SELECT * FROM window ORDER BY number").fetchall()
        last = windows[-1]
        connection.executemany(
            "INSERT INTO window VALUES (?, ?, ?, ?, ?, ?)",
            [
                (last[0] + at, last[1] + at * 60 * 10**9, last[2] + at * 60 * 10**9, *last[3:])
                for at in range(1, WINDOWS)
            ],
        )
    connection.close()


def committed(state: Path) -> None:
    """Let a lane commit: the same again in other bytes, and the oldest burst for a new one."""
    with closing(sqlite3.connect(state)) as file, file:
        file.execute("UPDATE summary SET state = CAST(state || ' ' AS BLOB)")
        file.execute(
            "INSERT INTO burst SELECT position + (SELECT max(position) FROM burst), burst, place, record "
            "FROM burst ORDER BY position LIMIT 20"
        )
        oldest = "SELECT position FROM burst ORDER BY position LIMIT 20"
        file.execute(f"DELETE FROM burst WHERE position IN ({oldest})")


async def asked(places: Places) -> None:
    """Print what the first page takes at first, while it is fresh, and each time it is due."""
    console = Console(places)
    transport = httpx.ASGITransport(console.app())
    states = list(places.root.glob("lanes/*/state.db"))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://localhost", timeout=60
    ) as client:
        page = (await client.get("/")).text
        files = sum(len(asset(name)[0]) for name in ("style.css", "live.js"))
        print(f"page {len(page) / 1e3:.1f} kB, style and script {files / 1e3:.1f} kB")
        fresh = Console(places)
        first = httpx.AsyncClient(
            transport=httpx.ASGITransport(fresh.app()), base_url="http://localhost"
        )
        print(f"first look      {await timed(first):.0f} ms of CPU")
        await first.aclose()
        told = {"fresh": ("/", 1, False, False), "made anew": ("/", 1, True, False),
                "after commits": ("/", 1, True, True), "report.json": ("/report.json", 1, True, True),
                "metrics": ("/metrics", 1, True, True), "50 streams": ("/live.json", STREAMS, True, True)}  # fmt: skip
        for name, (path, n, outdated, commits) in told.items():
            took = []
            for _ in range(LOOKS):
                for state in states if commits else ():
                    committed(state)
                if outdated:
                    console.outdate()  # as if it were due
                took.append(await timed(client, path, n=n))
            print(f"{name:<15} {statistics.median(took):.0f} ms of CPU, {max(took):.0f} at most")


async def timed(client: httpx.AsyncClient, path: str = "/", *, n: int = 1) -> float:
    """Return the CPU time of so many looks at once, in ms."""
    began = time.process_time()
    for answer in await asyncio.gather(*(client.get(path) for _ in range(n))):
        answer.raise_for_status()
    return 1e3 * (time.process_time() - began)


def main() -> None:
    """Measure."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "state"
        shutil.copytree(sys.argv[1], root, ignore=shutil.ignore_patterns("turn*", "lock"))
        for state in root.glob("lanes/*/state.db"):
            widened(state)
        asyncio.run(asked(Places(root)))


if __name__ == "__main__":
    main()
