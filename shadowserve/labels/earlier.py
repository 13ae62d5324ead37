"""Whose answers labels belong to that come after a handover: those of an earlier deployment, now in the archive."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa

from shadowserve.errors import ShadowserveError
from shadowserve.labels.answers import request_ids
from shadowserve.labels.reading import Raw
from shadowserve.labels.store import KEPT_ANSWERS
from shadowserve.labels.taking import Taken
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import Places
from shadowserve.state.shelves import Shelf, shelves

MOST = 20
"""How many earlier deployments are looked at, the newest first."""

Take = Callable[[Places, Deployment, Iterable[Raw]], Taken]


class Earlier:
    """Earlier deployments of one model, asked for the requests that they answered.

    Of each the ids of its requests are read once, when a label first looks for one, and remembered by eight bytes
    each: what lies in the archive does not change.

    Parameters
    ----------
    places : Places
        The present deployment's.
    take : callable
        Takes labels for a deployment.
    """

    def __init__(self, places: Places, take: Take) -> None:
        self._places, self._take = places, take
        self._known: dict[Path, array[int]] = {}

    def found(self, deployment: Deployment) -> list[Shelf]:
        """Return the deployments of the archive that answered for the same model, the newest first."""
        kept = [
            one
            for one in shelves(self._places)
            if one.state == "archived"
            and one.deployment
            and one.deployment.model == deployment.model
        ]
        return kept[:MOST]

    def of(self, request_id: str, among: Iterable[Shelf]) -> Shelf | None:
        """Return the newest deployment that compared a request; None if none did."""
        wanted = hash(request_id)
        for shelf in among:
            known = self._ids(shelf)
            at = bisect_left(known, wanted)
            if at < len(known) and known[at] == wanted:
                return shelf
        return None

    def take(self, shelf: Shelf, labels: Iterable[Raw]) -> Taken:
        """Hand labels in to the deployment that answered their requests, all or none.

        Raises
        ------
        LabelsError, UnreachableError
            As `owner.take`.
        """
        if shelf.deployment is None:
            raise RuntimeError(f"{shelf.id} was found, so it can be read")
        return self._take(shelf.places, shelf.deployment, labels)

    def _ids(self, shelf: Shelf) -> array[int]:
        root = shelf.places.root
        if root not in self._known and shelf.deployment is not None:
            try:
                ids = request_ids(shelf.places, shelf.deployment, most=KEPT_ANSWERS)
                self._known[root] = array("q", sorted({hash(one) for one in ids}))
            except (
                ShadowserveError,
                OSError,
                pa.ArrowException,
            ):  # damaged: it holds up nobody else's labels
                self._known[root] = array("q")
        return self._known[root]
