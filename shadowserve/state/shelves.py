"""All deployments of a state directory: the present one, and those that are archived."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from shadowserve.errors import ShadowserveError, UnreachableError
from shadowserve.legible import quoted
from shadowserve.records import Role
from shadowserve.state import deployment as deployments
from shadowserve.state.deployment import Deployment, LaneName
from shadowserve.state.lane_reading import snapshot
from shadowserve.state.places import Places
from shadowserve.state.presence import running


@dataclass(frozen=True, slots=True)
class Shelf:
    """One deployment and where it lies.

    Parameters
    ----------
    places : Places
        The state directory, or its own directory in the archive.
    deployment : Deployment or None
        None where its file cannot be read.
    state : str
        ``serving``, ``stopped`` or ``archived``; ``unreadable`` where nothing is known of it.
    reason : str or None
        Why it cannot be read.
    """

    id: str
    places: Places
    deployment: Deployment | None
    state: str
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what programs are told of it."""
        known = self.deployment
        return {
            "deployment": self.id,
            "state": self.state,
            "reason": self.reason,
            "model": known.model if known else None,
            "champion": known.champion.number if known else None,
            "challengers": list(known.numbers) if known else [],
            "started": known.started if known else None,
            "until": self.until,
            "requests": self.requests,
            "directory": str(self.places.root),
        }

    @property
    def until(self) -> str | None:
        """When an archived one was written to for the last time: UTC, ISO 8601."""
        if self.state != "archived":
            return None
        at_s = self.places.root.stat().st_mtime
        return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds")

    @property
    def requests(self) -> dict[str, int | None]:
        """How many requests each challenger's lane has dealt with, by label; None where that cannot be read."""
        if self.deployment is None:
            return {}
        lanes = (one for one in self.deployment.lanes if one.role is Role.CHALLENGER)
        return {f"v{one.version}": self._dealt_with(one) for one in lanes}

    def _dealt_with(self, name: LaneName) -> int | None:
        try:
            lane = self.places.lane(name.role, name.version, name.stay)
            return sum(snapshot(lane.state, whole=False).outcomes.values())
        except ShadowserveError:
            return None


def shelves(places: Places) -> Iterator[Shelf]:
    """Yield the present deployment, where there is one, and then those archived, the newest first."""
    present = deployments.read(places)
    if present is not None:
        served = "serving" if running(places) is not None else "stopped"
        yield Shelf(present.id, places, present, served)
    archived = [_archived(Places(root)) for root in places.shelves]
    yield from sorted(archived, key=_started, reverse=True)


def find(places: Places, deployment_id: str) -> Shelf:
    """Return one of a state directory's deployments by its id.

    Raises
    ------
    UnreachableError
        If there is none of that id, or it cannot be read.
    """
    for one in shelves(places):
        if one.id == deployment_id:
            if one.deployment is None:
                raise UnreachableError(str(one.reason))
            return one
    raise UnreachableError(
        f"No deployment {quoted(deployment_id)} in {places.root}. 'shadowserve deployments' lists those that are kept."
    )


def _archived(places: Places) -> Shelf:
    name = places.root.name
    try:
        known = deployments.read(places)
    except (ShadowserveError, OSError) as error:
        return Shelf(name, places, None, "unreadable", str(error))
    if known is None:
        return Shelf(name, places, None, "unreadable", f"{places.root} holds no deployment.")
    return Shelf(known.id, places, known, "archived")


def _started(one: Shelf) -> str:
    return one.deployment.started if one.deployment else ""
