"""One request whole: what each lane recorded of it, and its inputs as far as they may be seen."""

from __future__ import annotations

from typing import Any

from shadowserve.comparison.timing import outermost
from shadowserve.journal import reader
from shadowserve.lane.kept import read_kept
from shadowserve.records import Request, Role
from shadowserve.report.inputs import shown
from shadowserve.report.recorded import request
from shadowserve.state.deployment import Deployment
from shadowserve.state.places import LanePlaces, Places


def one_request(
    places: Places, deployment: Deployment, *, challenger: int, position: int
) -> dict[str, Any] | None:
    """Return what is known of a request; None where no lane has recorded it, or its record has gone.

    Returns
    -------
    dict or None
        ``challenger`` and ``control``, as `recorded.request` reads them, the latter None where the control
        did not score it. ``steps`` by role, as pairs of name and ms of those that lie in no other.
        ``inputs`` by column (`inputs.shown`), None where values may not be seen or the body has gone;
        ``log_inputs`` as the team has said.
    """
    name = deployment.lane_of(challenger)
    lane = places.lane(name.role, name.version, name.stay)
    own = request(lane, position)
    if own is None:
        return None
    control = (
        request(places.lane(Role.CONTROL, deployment.champion.number), position)
        if deployment.control
        else None
    )
    steps = {
        "champion": own["champion_steps_ms"],
        "control": control["lane_steps_ms"] if control else {},
        "challenger": own["lane_steps_ms"],
    }
    options = deployment.options
    return {
        "challenger": own,
        "control": control,
        "steps": {
            role: [(name, by_name[name]) for name in outermost(by_name)]
            for role, by_name in steps.items()
            if by_name
        },
        "inputs": inputs_of(places, lane, position, deployment),
        "log_inputs": options.log_inputs,
    }


def inputs_of(
    places: Places, lane: LanePlaces, position: int, deployment: Deployment
) -> dict[str, Any] | None:
    """Return a request's inputs by column, as `inputs.shown` does; None where no value may be seen, or its body has gone."""
    if deployment.options.log_inputs == "none":
        return None
    found = held(places, lane, position)
    if found is None or found.body is None:
        return None
    disclosure = deployment.options.disclosure(salt=deployment.salt)
    return shown(found.body, disclosure, protocol=found.protocol)


def held(places: Places, lane: LanePlaces, position: int) -> Request | None:
    """Return a request while it is there: in the journal, or among those that are kept."""
    found = reader.find(places.journal, position)
    if found is not None:
        return found
    kept = read_kept(lane.kept, [position])
    return kept[0].request if kept else None
