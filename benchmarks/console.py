"""What the console's first page weighs and takes, of a lane as large as a million comparisons make it.

``python -m benchmarks.console STATE`` copies a stopped deployment's state directory (that of a demo, say) and
fills the copy with as much as a lane ever keeps: 20,000 requests of bursts in either lane, and 1,600 closed windows,
which is what a million requests leave. Summaries are of bounded size and stay as they are.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx

from shadowserve.console.app import Console
from shadowserve.console.pages import asset
from shadowserve.state.places import Places

BURST_ROWS = 20_000
WINDOWS = 1_600
LOOKS = 5


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


async def asked(places: Places) -> None:
    """Print what the first page takes at first, while it is fresh, and each time it is due."""
    console = Console(places)
    transport = httpx.ASGITransport(console.app())
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        cold, page = await timed(client)
        warm = [(await timed(client))[0] for _ in range(LOOKS)]
        due = []
        for _ in range(LOOKS):
            console.outdate()  # as if a button had been pressed
            due.append((await timed(client))[0])
        files = sum(len(asset(name)[0]) for name in ("style.css", "live.js"))
        print(f"page {len(page) / 1e3:.1f} kB, style and script {files / 1e3:.1f} kB")
        print(f"first look {cold:.0f} ms of CPU")
        print(f"fresh      {statistics.median(warm):.0f} ms of CPU")
        print(f"made anew  {statistics.median(due):.0f} ms of CPU")


async def timed(client: httpx.AsyncClient) -> tuple[float, str]:
    """Return the CPU time of one look in ms, and the page."""
    began = time.process_time()
    answer = await client.get("/")
    answer.raise_for_status()
    return 1e3 * (time.process_time() - began), answer.text


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
