"""Recorded requests of a deployment, evenly over its life: those that a lane kept, the archive's, the journal's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import TypeVar

from shadowserve.errors import ShadowserveError
from shadowserve.lane.kept import kept_positions, read_kept
from shadowserve.records import Request
from shadowserve.state.archive.past import ARCHIVE, JOURNAL, Past, requests
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import LanePlaces, Places

_One = TypeVar("_One")

MOST_BYTES = 256 * 2**10
"""A longer body is left out."""
MOST_SEGMENTS = 24


def recorded(
    places: Places, deployment: Deployment, lane: LanePlaces, *, most: int
) -> tuple[list[Request], tuple[str, ...]]:
    """Return answered requests whose bodies are here, and the columns whose values are not kept.

    Parameters
    ----------
    places : Places
        The state directory, whose archive holds all deployments.
    most : int
    """
    kept = sorted(kept_positions(lane.kept))
    found = {one.request.position: one.request for one in read_kept(lane.kept, _spread(kept, most))}
    hidden: set[str] = set()
    if len(found) < most:
        sources = [
            one
            for one in Past(places).sources(of=(JOURNAL, ARCHIVE))
            if one.facts.deployment == deployment.id
        ]
        hidden = {name for one in sources if one.where == ARCHIVE for name in one.facts.hidden}
        # What lacks values is another request than the one that was answered.
        whole = [one for one in sources if not one.facts.hidden or one.where == JOURNAL]
        for source in _spread(whole, MOST_SEGMENTS):
            with suppress(ShadowserveError):  # one that the supervisor lets go meanwhile
                each = -(-2 * most // min(len(whole), MOST_SEGMENTS))
                some = (one for part in requests(source) for one in part if _is_whole(one))
                step = max(1, source.facts.requests // each)
                for one in islice(some, 0, None, step):
                    found.setdefault(one.position, one)
    in_order = sorted(found.values(), key=lambda one: one.arrived_wall_ns)
    return _spread(in_order, most), tuple(sorted(hidden))


def by_id(places: Places, deployment: Deployment, request_id: str) -> Request | None:
    """Return the latest request of an id that is still here; None where none is."""
    latest = None
    for one in _with_id(places, deployment, request_id):
        if latest is None or one.arrived_wall_ns >= latest.arrived_wall_ns:
            latest = one
    return latest


def _with_id(places: Places, deployment: Deployment, request_id: str) -> Iterator[Request]:
    for source in Past(places).holding(request_id):
        if source.facts.deployment == deployment.id and not (
            source.facts.hidden and source.where == ARCHIVE
        ):
            with suppress(ShadowserveError):
                for some in requests(source):
                    yield from (
                        one for one in some if one.request_id == request_id and _is_whole(one)
                    )


def _is_whole(one: Request) -> bool:
    return one.status == 200 and one.body is not None and len(one.body) <= MOST_BYTES


def _spread(some: Sequence[_One], most: int) -> list[_One]:
    """Return at most so many, evenly apart."""
    if len(some) <= most:
        return list(some)
    return [some[at * len(some) // most] for at in range(most)]
