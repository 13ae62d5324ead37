"""One request whole: what each lane recorded of it, and its inputs as far as they may be seen."""

from __future__ import annotations

from typing import Any

from shadowserve.comparison.timing import outermost
from shadowserve.journal import reader
from shadowserve.lane.kept import read_kept
from shadowserve.records import Role
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
    lane = places.lane(Role.CHALLENGER, challenger)
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
        "inputs": None
        if options.log_inputs == "none"
        else shown(_body(places, lane, position), options.disclosure(salt=deployment.salt)),
        "log_inputs": options.log_inputs,
    }


def _body(places: Places, lane: LanePlaces, position: int) -> bytes | None:
    """Return a request's body while it is there: in the journal, or among those that are kept."""
    found = reader.find(places.journal, position)
    if found is not None:
        return found.body
    kept = read_kept(lane.kept, [position])
    return kept[0].request.body if kept else None
