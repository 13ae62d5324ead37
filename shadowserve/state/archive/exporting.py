"""Exporting: requests and answers of one deployment in one Parquet file, for whoever asks them elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from shadowserve.records import Request
from shadowserve.state.archive.layout import Layout, Row
from shadowserve.state.archive.past import Past, Source, requests

GROUP_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which requests of a deployment.

    Parameters
    ----------
    deployment : str
    request_id : str, optional
        Only those of this id.
    since_ns, until_ns : int, optional
        Only those that arrived from the one until before the other, since the epoch.
    """

    deployment: str
    request_id: str | None = None
    since_ns: int | None = None
    until_ns: int | None = None

    def sources(self, past: Past) -> list[Source]:
        """Return the segments that may hold some of them."""
        found = past.sources() if self.request_id is None else past.holding(self.request_id)
        return [one for one in found if self._may(one)]

    def takes(self, request: Request) -> bool:
        """Tell whether it is one of them."""
        at = request.arrived_wall_ns
        return (
            self.request_id in (None, request.request_id)
            and (self.since_ns is None or at >= self.since_ns)
            and (self.until_ns is None or at < self.until_ns)
        )

    def _may(self, source: Source) -> bool:
        facts = source.facts
        return (
            facts.deployment == self.deployment
            and (self.since_ns is None or facts.until_ns >= self.since_ns)
            and (self.until_ns is None or facts.since_ns < self.until_ns)
        )


@dataclass(slots=True)
class Exported:
    """What an export holds.

    Parameters
    ----------
    requests, rows : int
    without_values : int
        Requests whose values are not kept: sampled out, or of a kind that the columns cannot tell.
    """

    requests: int = 0
    rows: int = 0
    without_values: int = 0


def export(
    past: Past,
    wanted: Wanted,
    layout: Layout,
    target: Path,
    *,
    told: Callable[[int], None] = lambda _n: None,
) -> Exported:
    """Write what is wanted to a Parquet file, whole or not at all.

    Parameters
    ----------
    target : Path
        Replaced if it is there.
    told : callable
        Called with how many requests were read since it was called last.

    Raises
    ------
    UnreadableError
        If a segment cannot be read.
    OSError
        If the file cannot be written; what was there stays.
    """
    result = Exported()
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with pq.ParquetWriter(draft, layout.schema, compression="zstd") as file:
            for table in _tables(wanted.sources(past), wanted, layout, result, told):
                file.write_table(table)
        draft.replace(target)
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()
    return result


def _tables(
    sources: list[Source],
    wanted: Wanted,
    layout: Layout,
    result: Exported,
    told: Callable[[int], None],
) -> Iterator[pa.Table]:
    """Yield the rows, so many at once that they are worth a group."""
    rows: list[Row] = []
    for source in sources:
        for some in requests(source):
            for request in filter(wanted.takes, some):
                made, known = layout.rows(request, source.facts)
                rows += made
                result.requests += 1
                result.rows += len(made)
                result.without_values += not known
            told(len(some))
            if len(rows) >= GROUP_ROWS:
                yield layout.table(rows)
                rows = []
    if rows:
        yield layout.table(rows)
