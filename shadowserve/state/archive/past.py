"""What was served and can still be read: the journal's own segments and the archived ones, each request once."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shadowserve.errors import DamagedError
from shadowserve.journal.segment_file import Segment, segments
from shadowserve.journal.segment_reading import reading, rows_of
from shadowserve.records import Request, position
from shadowserve.state import deployment as deployments
from shadowserve.state.archive.facts import Facts
from shadowserve.state.archive.holdings import Archived, Holdings
from shadowserve.state.archive.packing import GROUP_REQUESTS, SCHEMA, facts_of
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places

JOURNAL, ARCHIVE = "journal", "archived"
BATCH_REQUESTS = 1_024


@dataclass(frozen=True, slots=True)
class Source:
    """One segment, wherever it lies.

    Parameters
    ----------
    where : str
        ``journal`` or ``archived``.
    path : Path
    facts : Facts
        Of a segment that is still written, as far as it has come.
    bytes : int
        On disk.
    """

    where: str
    path: Path
    facts: Facts
    bytes: int


class Past:
    """All that can be read of one state directory.

    Parameters
    ----------
    places : Places
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self.holdings = Holdings(places)

    def deployment(self, name: str) -> Deployment:
        """Return a deployment of which something is there.

        Raises
        ------
        StateError
            If its file is missing or damaged.
        """
        for places in (self._places, *map(Places, self._places.shelves)):
            found = deployments.read(places)
            if found is not None and found.id == name:
                return found
        return self.holdings.deployment(name)

    def sources(self, *, of: Collection[str] = (JOURNAL, ARCHIVE)) -> list[Source]:
        """List the segments that can be read, by deployment, worker and number; one that lies twice only once.

        Parameters
        ----------
        of : collection of str
            ``journal``: what the present deployment's journal still holds. ``archived``: what is archived.
        """
        found: dict[tuple[str, int, int], Source] = {}
        if JOURNAL in of:
            found |= {_key(one): one for one in self._journal()}
        if ARCHIVE in of:
            for one in self.holdings.archived():
                if one.facts is not None:
                    source = Source(ARCHIVE, one.path, one.facts, one.bytes)
                    found[_key(source)] = source
        return sorted(found.values(), key=_key)

    def unreadable(self) -> list[Archived]:
        """List the archived files that cannot be read."""
        return [one for one in self.holdings.archived() if one.facts is None]

    def holding(self, request_id: str) -> list[Source]:
        """List the segments that may hold a request of this id."""
        may = set(self.holdings.holding(request_id))
        return [one for one in self.sources() if one.where == JOURNAL or one.path in may]

    def _journal(self) -> Iterator[Source]:
        present = deployments.read(self._places)
        if present is None:
            return
        for segment in segments(self._places.journal):
            try:
                facts = facts_of(segment, present)
            except DamagedError:  # the supervisor moves it aside
                continue
            if facts is not None:
                yield Source(JOURNAL, segment.path, facts, segment.bytes)


def requests(source: Source) -> Iterator[list[Request]]:
    """Yield a segment's requests in order, some at a time.

    Raises
    ------
    UnreadableError
        If it cannot be read now; `DamagedError` if it never will.
    """
    return _archived(source.path) if source.where == ARCHIVE else _journaled(source)


def _journaled(source: Source) -> Iterator[list[Request]]:
    facts = source.facts
    segment = Segment(facts.worker, facts.number, source.path)
    after = position(facts.worker, facts.first) - 1
    with reading(segment) as connection:
        while found := list(rows_of(connection, after=after, limit=GROUP_REQUESTS)):
            yield found
            after = found[-1].position


def _archived(path: Path) -> Iterator[list[Request]]:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            # No checksum covers the footer, which says what the columns are.
            if not _is_ours(file.schema_arrow):
                raise DamagedError(path, "its columns are not those of a segment")
            for batch in file.iter_batches(batch_size=BATCH_REQUESTS):
                yield [Request(*row) for row in _rows(batch)]
    except DamagedError:
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DamagedError(path, type(error).__name__) from error


def _is_ours(schema: pa.Schema) -> bool:
    """Whether columns are a record's; an earlier release wrote the last one not."""
    return len(schema) >= len(SCHEMA) - 1 and list(schema) == list(SCHEMA)[: len(schema)]


def _rows(batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _key(one: Source) -> tuple[str, int, int]:
    return one.facts.deployment, one.facts.worker, one.facts.number
