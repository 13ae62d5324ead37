"""State directories whose journal was archived: requests of one worker, cut into small segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rig.deployment import deployment, made
from rig.journal import request
from rig.scoring import body, record
from shadowserve.journal.writer import Writer
from shadowserve.records import Request
from shadowserve.settings.keeping import Keep
from shadowserve.state import deployment as deployments
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places
from shadowserve.supervisor.archivist import Archivist

FOR_GOOD = Keep(age_s=1e10)


def served(
    root: Path, *, segments: int = 3, each: int = 4, **options: Any
) -> tuple[Places, list[Request]]:
    """Return a state directory with so many sealed segments of so many requests, and what they hold."""
    places = made(root)
    fields = {} if not options else {"options": options}
    deployments.write(places, deployment(**fields))
    return places, [
        one for _ in range(segments) for one in journal(places, [record(n) for n in range(each)])
    ]


def journal(
    places: Places, records: Sequence[Mapping[str, Any]], *, worker: int = 0, **changes: Any
) -> list[Request]:
    """Write one sealed segment with a request a record."""
    writer = Writer(places.journal, worker=worker)
    made = [
        request(writer.position(n), **{"body": body(one), "arrived_wall_ns": 1_000 + n, **changes})
        for n, one in enumerate(records)
    ]
    writer.append(made)
    writer.close()
    return made


def archive(places: Places, *, keep: Keep = FOR_GOOD) -> Archivist:
    """Archive all that is sealed."""
    archivist = Archivist(places, of(places), keep)
    archivist.begin()
    while archivist.turn():
        pass
    return archivist


def of(places: Places) -> Deployment:
    """Return what is served from a state directory."""
    found = deployments.read(places)
    assert found is not None
    return found
