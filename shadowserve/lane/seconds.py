"""What scores some of a lane's requests a second time later, put together for one lane."""

from __future__ import annotations

from collections.abc import Sequence

from shadowserve.lane import again, replays
from shadowserve.lane.again import Second
from shadowserve.lane.kept import Kept, KeptRequests, read_kept
from shadowserve.lane.members import Members
from shadowserve.lane.run import Lane
from shadowserve.records import Role
from shadowserve.state.deployment import LaneName


def seconds(lane: Lane, members: Members, *, control: LaneName | None) -> list[Second]:
    """Return what scores some of a lane's requests a second time later.

    Parameters
    ----------
    control : LaneName or None
        The deployment's control lane, if it has one.
    """
    mark, rescorer = lane.parts.inflight.mark, lane.parts.rescorer
    if rescorer is None:
        return []
    if lane.parts.name.role is Role.CONTROL:
        answers, wanted = (
            lambda: lane.commits.learned.answers,
            again.asked_by(lambda: [one.state for one in members.files().values()]),
        )
        return [
            again.AgainForOthers(lane.parts.observer, answers, wanted, mark),
            replays.ReplaysForOthers(
                lambda: lane.commits.learned,
                lane.parts.observer,
                rescorer.differ,
                replays.asked_by(lambda: {v: one.state for v, one in members.files().items()}),
                lambda version, positions: _kept_of(members, version, positions),
                mark,
            ),
        ]
    protocols, usual_ms = lane.parts.observer.protocols, lambda: lane.commits.learned.usual_ms()
    tried = again.Again(
        lane.parts.observer, lambda: lane.commits.learned.lasting, protocols, mark, usual_ms,
        lane.execution.elsewhere,
    )  # fmt: skip
    own = lane.parts.files.kept
    # Old requests are kept with their bodies, which a deployment that hides values rules out.
    if lane.parts.disclosure.hides:
        return [tried]
    asked = replays.Replays(
        lambda: lane.commits.learned,
        lane.parts.observer,
        rescorer.differ,
        KeptRequests(own),
        lambda positions: read_kept(own, positions),
        replays.answered_by(
            lane.parts.places.lane(control.role, control.version, control.stay).state,
            lane.parts.name.version,
        )
        if control
        else lambda: None,
        mark,
    )
    # Only an answer that was given twice, alike, can later be found to have changed.
    rescorer.steady = asked.keep
    return [tried, asked]


def _kept_of(members: Members, version: int, positions: Sequence[int]) -> list[Kept]:
    """Return old requests that a challenger's lane has kept; none of one that has left meanwhile."""
    lane = members.files().get(version)
    return read_kept(lane.kept, positions) if lane else []
