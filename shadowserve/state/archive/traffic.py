"""Recorded requests of one source, in the order in which they came: a state directory's own, or a table's rows."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from shadowserve.errors import UnreachableError
from shadowserve.legible import quoted
from shadowserve.records import Request, sequence_of
from shadowserve.state.archive import past as kept
from shadowserve.state.archive.past import Past, Source, requests
from shadowserve.state.archive.table import Table
from shadowserve.state.archive.table_names import Names
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places

JOURNAL, ARCHIVE = "journal", "archive"
WORDS = {JOURNAL: (kept.JOURNAL,), ARCHIVE: (kept.JOURNAL, kept.ARCHIVE)}
"""What each word reads: the archive, and what has not come there yet."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a source holds, and the way to read it.

    Parameters
    ----------
    name : str
        As a person wrote it.
    identity : tuple of str
        What it holds just now: another one means that there is other traffic.
    total : int or None
        How many requests; None where that is known only once they are read.
    read : callable
        Yields its requests in order of arrival, some at a time; each time from the beginning. A table's have
        the row's number for their position, and an empty answer where none was recorded.
    hidden : tuple of str
        Columns whose values are not kept, or only as hashes.
    upto : mapping of worker to sequence
        How far a state directory's requests had come.
    deployment : Deployment or None
        By which it was recorded; None for a table.
    table : Table or None
        The table that it is.
    """

    name: str
    identity: tuple[str, ...]
    total: int | None
    read: Callable[[], Iterator[list[Request]]]
    hidden: tuple[str, ...] = ()
    upto: Mapping[int, int] = field(default_factory=dict)
    deployment: Deployment | None = None
    table: Table | None = None


def traffic(
    source: str,
    places: Places,
    *,
    signature: Mapping[str, Any] | None,
    names: Names,
    deployment: str | None = None,
    skip_bad: bool = False,
    upto: Mapping[int, int] | None = None,
) -> Traffic:
    """Open a source of recorded requests.

    Parameters
    ----------
    source : str
        ``journal``, ``archive``, or a file's path.
    places : Places
        The state directory that the words mean.
    signature : mapping or None
        A model's, by which a table's values are typed; None where nothing is known of them.
    names : Names
        Of a table's columns that are no features.
    deployment : str, optional
        Whose requests; by default of whichever was served last.
    upto : mapping of worker to sequence, optional
        How far a state directory's requests are read, where they were opened before.
    skip_bad : bool
        Whether a table's bad rows are left out, and counted; else the first raises `TableError`.

    Raises
    ------
    UnreachableError
        If nothing is kept, or there is no such file.
    TableError
        While it is read.
    """
    if source in WORDS:
        return recorded(source, places, deployment=deployment, upto=upto)
    table = Table.open(Path(source), signature=signature, names=names, skip_bad=skip_bad)
    return Traffic(source, table.identity, table.total, table.requests, table=table)


def recorded(
    word: str,
    places: Places,
    *,
    deployment: str | None = None,
    upto: Mapping[int, int] | None = None,
) -> Traffic:
    """Open what was served from a state directory: one deployment's requests, as far as they have come by now.

    Parameters
    ----------
    word : str
        ``journal`` or ``archive``.
    deployment : str, optional
        By default whichever was served last.
    upto : mapping of worker to sequence, optional
        How far they are read, where they were opened before; workers that are missing are not read.

    Raises
    ------
    UnreachableError
        If nothing is kept.
    """
    past = Past(places)
    sources = past.sources(of=WORDS[word])
    if deployment is not None:
        sources = [one for one in sources if one.facts.deployment == deployment]
    if not sources:
        of = f"of {quoted(deployment)} " if deployment is not None else ""
        raise UnreachableError(
            f"Nothing {of}is kept in {places.root}. 'shadowserve serve --keep-journal 7d' keeps what was served for a week."
        )
    name = max(sources, key=lambda one: one.facts.until_ns).facts.deployment
    own = [one for one in sources if one.facts.deployment == name]
    if upto is not None:
        own = [cut for one in own if (cut := _cut(one, upto.get(one.facts.worker, 0))) is not None]
    return Traffic(
        word,
        (name, *(f"{worker}:{first}-{last}" for worker, first, last in _reach(own))),
        sum(one.facts.requests for one in own),
        lambda: _merged(own),
        tuple(sorted({hidden for one in own for hidden in one.facts.hidden})),
        {worker: last for worker, _, last in _reach(own)},
        past.deployment(name),
    )


def _cut(source: Source, last: int) -> Source | None:
    """Return a segment as far as a sequence number; None where it begins behind it."""
    facts = source.facts
    if facts.first > last:
        return None
    kept = facts.requests - max(0, facts.last - last)  # no number is left out
    return replace(source, facts=replace(facts, last=min(facts.last, last), requests=kept))


def _by_worker(sources: list[Source]) -> Iterator[tuple[int, list[Source]]]:
    for worker, some in groupby(sources, key=lambda one: one.facts.worker):
        yield worker, list(some)


def _reach(sources: list[Source]) -> Iterator[tuple[int, int, int]]:
    for worker, some in _by_worker(sources):
        yield worker, some[0].facts.first, some[-1].facts.last


def _merged(sources: list[Source]) -> Iterator[list[Request]]:
    """Yield all workers' requests by their arrival; each worker's stay in its own order."""
    workers = [some for _, some in _by_worker(sources)]
    if len(workers) == 1:
        for some in map(_until_now, workers[0]):
            yield from some
        return
    ways = [
        (one for some in map(_until_now, own) for part in some for one in part) for own in workers
    ]
    merged = heapq.merge(*ways, key=lambda one: one.arrived_wall_ns)
    while part := list(islice(merged, kept.BATCH_REQUESTS)):
        yield part


def _until_now(source: Source) -> Iterator[list[Request]]:
    """Yield a segment's requests as far as it had come when it was opened: a live one grows meanwhile."""
    for some in requests(source):
        known = [one for one in some if sequence_of(one.position) <= source.facts.last]
        if known:
            yield known
