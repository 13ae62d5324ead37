"""Verifying what is kept: every byte read again, checksums held, nothing missing between first and last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from shadowserve.errors import UnreadableError
from shadowserve.legible import counted
from shadowserve.records import position
from shadowserve.state.archive.past import ARCHIVE, Past, Source, requests


@dataclass(frozen=True, slots=True)
class Verified:
    """One segment, read whole.

    Parameters
    ----------
    name : str
        Its file, below the state directory.
    requests : int
        That were read.
    fault : str
        What is wrong with it; empty where nothing is.
    """

    name: str
    requests: int
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """Requests between two archived segments of one worker that are in neither."""

    deployment: str
    worker: int
    first: int
    last: int

    def __str__(self) -> str:
        n = self.last - self.first + 1
        return (
            f"{self.deployment}, worker {self.worker}: {counted(n, 'request')} from {self.first} to {self.last} "
            "are not kept"
        )


def verify(past: Past) -> Iterator[Verified]:
    """Read every segment, and yield what became of it."""
    for one in past.unreadable():
        yield Verified(f"{one.path.parent.name}/{one.path.name}", 0, one.fault)
    for source in past.sources():
        yield _verified(source)


def gaps(sources: Sequence[Source]) -> list[Gap]:
    """Return what is missing between the segments of each worker, archived and journaled ones together."""
    found = []
    for before, after in pairwise(sources):
        a, b = before.facts, after.facts
        if (a.deployment, a.worker) == (b.deployment, b.worker) and b.first > a.last + 1:
            found.append(Gap(a.deployment, a.worker, a.last + 1, b.first - 1))
    return found


def _verified(source: Source) -> Verified:
    facts, n = source.facts, 0
    name = f"{facts.deployment}/{source.path.name}"
    try:
        for some in requests(source):
            for one in some:
                if one.position != position(facts.worker, facts.first + n):
                    return Verified(name, n, f"request {facts.first + n} is missing")
                n += 1
    except UnreadableError as error:
        return Verified(name, n, str(error))
    # A journal's segment may have grown since it was looked at.
    if n < facts.requests or (source.where == ARCHIVE and n != facts.requests):
        return Verified(
            name, n, f"{counted(facts.requests, 'request')} were written, {n} are there"
        )
    return Verified(name, n)
