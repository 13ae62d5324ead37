"""Lanes that have left while the deployment goes on: their evidence is brought to the end, and their run finished."""

from __future__ import annotations

from shadowserve.evidence.shipped import Shipped
from shadowserve.lane.open_window import OpenWindow
from shadowserve.state.deployment import Deployment, LaneName
from shadowserve.state.lane_condition import LEFT, condition
from shadowserve.state.lane_file import LaneState
from shadowserve.state.lane_reading import closed_windows
from shadowserve.state.places import Places


def close_window(places: Places, name: LaneName) -> None:
    """Close what a lane whose process has ended for good left open."""
    lane = places.lane(name.role, name.version, name.stay)
    if not lane.state.exists():
        return
    state = LaneState(lane.state)
    try:
        window = OpenWindow(state, lane.parts, name.role)
        window.take_up()
        window.close()
    finally:
        state.close()


def has_ended(places: Places, name: LaneName) -> bool:
    """Tell whether the process of a lane that has left is gone, as the supervisor says."""
    return condition(places.lane(name.role, name.version, name.stay)).state == LEFT


def leaving(places: Places, deployment: Deployment, shipped: Shipped) -> tuple[LaneName, ...]:
    """Return the lanes that have left and of which something may have yet to arrive."""
    return tuple(name for name in deployment.left_lanes if not _has_arrived(places, name, shipped))


def _has_arrived(places: Places, name: LaneName, shipped: Shipped) -> bool:
    state = places.lane(name.role, name.version, name.stay).state
    if not state.exists():
        return True
    if not shipped.is_finished(str(name)):
        return False
    return not closed_windows(state, after=shipped.delivered(str(name)))
