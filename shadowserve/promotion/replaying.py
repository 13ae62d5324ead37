"""Recorded requests asked of a version again, before callers depend on it: what it refuses, and answers in another form.

This runs in a process of its own. What it tells of a request is its position, a type and a step; no value.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from shadowserve.comparison.comparing import Scoring
from shadowserve.errors import ShadowserveError
from shadowserve.journal.segment_file import segments
from shadowserve.journal.segment_reading import reading, rows_of
from shadowserve.lane.building import comparer_of
from shadowserve.lane.kept import positions_of, read_kept
from shadowserve.lane.observing import Observer
from shadowserve.records import Request
from shadowserve.scorer import scoring
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places
from shadowserve.wire.protocols import protocols

MOST = 300
"""Requests that are asked again of the journal, and as many of those that the lane has kept: the newest."""
PATIENCE_S = 30.0
"""No request is begun later than this after the first."""
MOST_NAMED = 5


@dataclass(slots=True)
class Replayed:
    """What came of asking again.

    Parameters
    ----------
    n : int
        Requests that the champion had answered and that were asked.
    refused, changed : mapping of str to int
        How often, by how it failed; and by which form became which.
    failure : str or None
        Why nothing could be asked.
    skipped : str or None
        Why nothing was asked, where that is as it should be.
    """

    n: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)
    failure: str | None = None
    skipped: str | None = None


def replay(places: Places, deployment: Deployment, number: int, path: Path) -> Replayed:
    """Load a challenger as a worker would, and ask it what callers asked the champion.

    Parameters
    ----------
    path : Path
        Its files.
    """
    try:
        scorer = scoring.open_version(
            deployment.version(number),
            path,
            # A champion has neither an environment of its own nor an adapter.
            options=replace(deployment.options, isolate=(), adapt_output=()),
            champion=deployment.champion,
        )
    except ShadowserveError as error:
        return Replayed(failure=str(error))
    table = dict(protocols(deployment.model, deployment.champion.number))
    observer = Observer(scorer, table, mark=[0])
    comparer = comparer_of(deployment, scorer, table, places=places)
    found = Replayed()
    until = time.monotonic() + PATIENCE_S
    answered = []
    for request in recorded(places, deployment, number):
        if time.monotonic() > until:
            break
        seen = observer.alone(observer.typed(request))
        found.n += 1
        if seen.fault is not None:
            where = f" in {seen.fault.step}" if seen.fault.step else ""
            _count(found.refused, f"{seen.fault.type}{where}")
        elif comparer.reads(request):
            answered.append(
                Scoring(request, seen, None, {}, alone=True, warmup=False, inclusion=1.0)
            )
    side = comparer.compare(answered)
    if side is not None:
        for (champion, own), n in side.compared.kind_of_structure.items():
            _count(found.changed, f"{champion} becomes {own}", n)
    return found


def recorded(places: Places, deployment: Deployment, number: int) -> Iterator[Request]:
    """Yield the newest requests that the champion answered, of the journal and of what the lane has kept."""
    seen: set[int] = set()
    for segment in reversed(segments(places.journal)):
        with suppress(ShadowserveError), reading(segment) as connection:
            last = connection.execute("SELECT max(position) FROM request").fetchone()[0]
            if last is None:
                continue
            for request in rows_of(connection, after=last - MOST, limit=MOST):
                if request.status == 200 and request.body is not None and len(seen) < MOST:
                    seen.add(request.position)
                    yield request
    lane = next(one for one in deployment.lanes if one.version == number)
    kept = places.lane(lane.role, lane.version, lane.stay).kept
    for one in read_kept(kept, [place for place in positions_of(kept, MOST) if place not in seen]):
        yield one.request


def _count(counts: dict[str, int], name: str, n: int = 1) -> None:
    counts[name] = counts.get(name, 0) + n


def told(replayed: Mapping[str, int]) -> str:
    """Name the most frequent ways, with how often each came.

    Examples
    --------
    >>> told({"ValueError in phrases": 3, "wrong_type": 12})
    'wrong_type (12), ValueError in phrases (3)'
    """
    most = sorted(replayed.items(), key=lambda one: -one[1])
    more = f" and {len(most) - MOST_NAMED} more" if len(most) > MOST_NAMED else ""
    return ", ".join(f"{name} ({n:,})" for name, n in most[:MOST_NAMED]) + more


def of(given: Mapping[str, Any]) -> Replayed:
    """Read what the process wrote."""
    return Replayed(**given)
