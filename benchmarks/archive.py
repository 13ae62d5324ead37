"""What keeping the past takes: bytes on disk beside the journal's, and CPU time beside a lane's.

    python -m benchmarks.archive --home DIR

The demo's films, different requests, each really answered by v3, with ids and times drawn as real ones are. `DIR` keeps the
models and the journal from run to run, as for `benchmarks.lanes`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import uuid
from pathlib import Path

import numpy as np

from benchmarks.lanes import journaled, served
from shadowserve.journal.segment_file import segments
from shadowserve.journal.writer import Writer
from shadowserve.records import Request, Times
from shadowserve.state.archive.packing import facts_of, pack
from shadowserve.state.archive.past import ARCHIVE, JOURNAL, Source, requests
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places

ROUNDS = 3


def real(home: Path, made: Deployment, *, n: int, into: Path) -> Places:
    """Return a state directory with the journal's requests, their ids and times as different as real ones."""
    drawn = np.random.default_rng(0)
    source, places = journaled(home, "films", made, n=n), Places(into)
    places.make()
    at = time.time_ns()
    writer: Writer | None = None
    for segment in segments(Places(source).journal):
        facts = facts_of(segment, made)
        assert facts is not None
        for some in requests(Source(JOURNAL, segment.path, facts, segment.bytes)):
            kept = []
            for one in some:
                at += int(drawn.exponential(3e5))
                kept.append(_real(one, at, drawn))
            if writer is None:
                writer = Writer(places.journal, worker=0, steps=facts.steps)
            writer.append(kept)
    assert writer is not None
    writer.close()
    return places


def _real(one: Request, at: int, drawn: np.random.Generator) -> Request:
    times = Times.unpack(one.times)
    told = Times(
        phases_ns=tuple(int(t * drawn.lognormal(0, 0.3)) for t in times.phases_ns),
        wall_ns=tuple(int(t * drawn.lognormal(0, 0.3)) for t in times.wall_ns),
        cpu_ns=tuple(int(t * drawn.lognormal(0, 0.3)) for t in times.cpu_ns),
    )
    return one._replace(
        request_id=uuid.UUID(bytes=drawn.bytes(16)).hex,
        arrived_wall_ns=at,
        arrived_ns=at,
        times=told.pack(),
    )


def main() -> None:
    """Print bytes and CPU time of packing, and of reading again."""
    asked = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    asked.add_argument("--home", type=Path, required=True)
    asked.add_argument("--requests", type=int, default=20_000)
    given = asked.parse_args()
    made = served(given.home.resolve(), "films")
    with tempfile.TemporaryDirectory(prefix="shadowserve-archive-") as folder:
        places = real(given.home.resolve(), made, n=given.requests, into=Path(folder) / "state")
        packs, reads, raw, packed, held = [], [], 0, 0, 0
        for turn in range(ROUNDS):
            raw = packed = held = 0
            began = time.process_time()
            files = []
            for segment in segments(places.journal):
                target = Path(folder) / f"{turn}-{segment.path.stem}.parquet"
                facts = pack(segment, target, made)
                if facts is not None:
                    files.append(Source(ARCHIVE, target, facts, target.stat().st_size))
                    raw, packed, held = (
                        raw + facts.raw_bytes,
                        packed + files[-1].bytes,
                        held + facts.requests,
                    )
            packs.append((time.process_time() - began) / held * 1e6)
            began = time.process_time()
            assert sum(len(some) for one in files for some in requests(one)) == held
            reads.append((time.process_time() - began) / held * 1e6)
    print(
        f"{held:,} requests: journal {raw / held:.0f} bytes a request, archived {packed / held:.0f}, "
        f"{packed / raw:.3f} of it; packing {statistics.median(packs):.1f} µs of CPU a request, "
        f"reading again {statistics.median(reads):.1f} µs"
    )


if __name__ == "__main__":
    main()
