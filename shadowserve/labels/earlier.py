"""Whose answers labels belong to that come after a handover: those of an earlier deployment, now in the archive."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from shadowserve.errors import ShadowserveError
from shadowserve.labels.answers import request_ids
from shadowserve.labels.reading import Raw
from shadowserve.labels.store import KEPT_ANSWERS
from shadowserve.labels.taken import Taken
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
            # Damaged, it holds up nobody else's labels.
            except (ShadowserveError, OSError, pa.ArrowException):
                self._known[root] = array("q")
        return self._known[root]


class Elsewhere:
    """Labels of one set whose requests earlier deployments answered.

    Parameters
    ----------
    earlier : Earlier
    deployment : Deployment
        The present one.
    """

    def __init__(self, earlier: Earlier, deployment: Deployment) -> None:
        self._earlier, self._deployment = earlier, deployment
        self._kept: dict[str, tuple[Shelf, list[Raw]]] = {}

    @cached_property
    def _among(self) -> list[Shelf]:
        return self._earlier.found(self._deployment)  # read only where a label is unknown here

    def keep(self, row: int, request_id: str, label: Any) -> bool:
        """Keep a label for the deployment that answered its request, if there is one."""
        shelf = self._earlier.of(request_id, self._among)
        if shelf is not None:
            self._kept.setdefault(shelf.id, (shelf, []))[1].append((row, request_id, label))
        return shelf is not None

    def ids(self) -> Iterable[str]:
        """Yield the ids of what is kept."""
        return (str(label[1]) for _, labels in self._kept.values() for label in labels)

    def take(self, taken: Taken) -> None:
        """Have what is kept taken where it belongs; add what became of it."""
        for shelf, labels in self._kept.values():
            taken.add(self._earlier.take(shelf, labels))
            for row, _, _ in labels:
                taken.earlier.add(row)
