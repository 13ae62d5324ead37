"""The challengers that a control scores beside: who there is now, and for whom it waits.

A challenger may join and leave while the control works. The control never waits for a newcomer that has yet to
load or to catch up: it goes on beside the others, and waits for the newcomer, as for any other, from the moment
that the two have met in the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from shadowserve.lane.line import Line
from shadowserve.records import Role
from shadowserve.state.deployment import Deployment, LaneName
from shadowserve.state.following import Followed
from shadowserve.state.lane_condition import condition
from shadowserve.state.lane_reading import snapshot
from shadowserve.state.places import LanePlaces, Places

Cursor = Mapping[int, int]


class Members:
    """The challengers of a deployment, as they are now.

    Parameters
    ----------
    places : Places
    deployment : Deployment
        As the lane has read it at its start.
    """

    def __init__(self, places: Places, deployment: Deployment) -> None:
        self._places = places
        self._followed = Followed(places, deployment)
        self._lines: dict[LaneName, Line] = {}

    def names(self) -> tuple[LaneName, ...]:
        """Return their lanes."""
        return tuple(name for name in self._followed.now().lanes if name.role is Role.CHALLENGER)

    def files(self) -> dict[int, LanePlaces]:
        """Return their files, by version."""
        return {
            one.version: self._places.lane(one.role, one.version, one.stay) for one in self.names()
        }

    def lines(self) -> list[Line]:
        """Return a line to each; one to who has left is closed."""
        names = self.names()
        for gone in [name for name in self._lines if name not in names]:
            self._lines.pop(gone).close()
        for name in names:
            if name not in self._lines:
                self._lines[name] = Line(*self._places.turns(name.version))
        return list(self._lines.values())


def follow(members: Members, own: Callable[[], Cursor]) -> Callable[[], Cursor | None]:
    """Return the control's limit: the least advanced challenger that is at work.

    Parameters
    ----------
    own : callable
        How far the control has read.
    """
    met = {
        version
        for version, lane in members.files().items()
        if not _is_behind(snapshot(lane.state, whole=False).cursor, own())
    }
    known = set(members.names())

    def cursors() -> Sequence[Cursor]:
        names = {one.version: one for one in members.names()}
        found = []
        for version, lane in members.files().items():
            state = condition(lane).state
            if state not in ("running", "starting"):
                continue
            cursor = snapshot(lane.state, whole=False).cursor
            if names[version] not in known:  # it has joined since, or again
                known.add(names[version])
                met.discard(version)
            if version not in met:
                if state == "starting" or _is_behind(cursor, own()):
                    continue
                met.add(version)
            found.append(cursor)
        return found

    def limit() -> Cursor | None:
        at_work = cursors()
        if not at_work:
            return None
        workers = {worker for cursor in at_work for worker in cursor}
        return {worker: min(c.get(worker, 0) for c in at_work) for worker in workers}

    return limit


def _is_behind(cursor: Cursor, own: Cursor) -> bool:
    return any(cursor.get(worker, 0) < sequence for worker, sequence in own.items())
