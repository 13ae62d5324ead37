"""Looking after everything until something has come about: lanes past starting, evidence tried."""

from __future__ import annotations

import time

from shadowserve.records import Role
from shadowserve.state import arrival
from shadowserve.state.arrival import Arrival
from shadowserve.state.lane_condition import condition
from shadowserve.supervisor.run import Supervisor


def wait_for_lanes(supervisor: Supervisor, *, role: Role = Role.CHALLENGER) -> None:
    """Look after everything until every lane of a role is past starting."""
    watched = [watch for watch in supervisor.lanes if watch.name.role is role]
    supervisor.run(until=lambda: all(condition(w.places).state != "starting" for w in watched))


def wait_for_evidence(supervisor: Supervisor, *, seconds: float) -> Arrival:
    """Look after everything until the first try to reach MLflow is over; return how it went."""
    until = time.monotonic() + seconds

    def tried() -> bool:
        return arrival.read(supervisor.places.arrival).state != "starting"

    supervisor.run(until=lambda: tried() or time.monotonic() > until)
    return arrival.read(supervisor.places.arrival)
