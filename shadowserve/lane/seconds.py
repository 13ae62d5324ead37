"""What scores some of a lane's requests a second time later, put together for one lane."""

from __future__ import annotations

from collections.abc import Sequence

from shadowserve.lane import again, replays
from shadowserve.lane.again import Second
from shadowserve.lane.kept import KeptRequests, read_kept
from shadowserve.lane.run import Lane
from shadowserve.records import Role
from shadowserve.state.deployment import LaneName


def seconds(
    lane: Lane, challengers: Sequence[LaneName], *, control: LaneName | None
) -> list[Second]:
    """Return what scores some of a lane's requests a second time later.

    Parameters
    ----------
    control : LaneName or None
        The deployment's control lane, if it has one.
    """
    mark, rescorer = lane.parts.inflight.mark, lane.parts.rescorer
    if rescorer is None:
        return []
    files = {one.version: lane.parts.places.lane(one.role, one.version) for one in challengers}
    if lane.parts.name.role is Role.CONTROL:
        states = {version: file.state for version, file in files.items()}
        answers, wanted = (
            lambda: lane.commits.learned.answers,
            again.asked_by(list(states.values())),
        )
        return [
            again.AgainForOthers(lane.parts.observer, answers, wanted, mark),
            replays.ReplaysForOthers(
                lambda: lane.commits.learned,
                lane.parts.observer,
                rescorer.differ,
                replays.asked_by(states),
                lambda version, positions: read_kept(files[version].kept, positions),
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
            lane.parts.places.lane(control.role, control.version).state, lane.parts.name.version
        )
        if control
        else lambda: None,
        mark,
    )
    # Only an answer that was given twice, alike, can later be found to have changed.
    rescorer.steady = asked.keep
    return [tried, asked]
