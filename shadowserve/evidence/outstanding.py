"""What of a deployment has not reached MLflow, counted from the files; for whoever outlives the writer."""

from __future__ import annotations

from shadowserve.evidence.shipped import Shipped
from shadowserve.state.deployment import Deployment
from shadowserve.state.lane_reading import closed_windows, open_comparisons, open_pieces
from shadowserve.state.places import Places


def outstanding(places: Places, deployment: Deployment) -> int:
    """Return how many windows of all lanes have not arrived, one that was left open included.

    Parameters
    ----------
    places : Places
        A state directory whose evidence writer has ended, or the shelf of an archived one.
    deployment : Deployment

    Raises
    ------
    UnreadableError
        If a lane's file cannot be read.
    """
    shipped = Shipped(places.evidence, deployment.id)
    try:
        n = 0
        for lane in (*deployment.lanes, *deployment.left_lanes):
            state = places.lane(lane.role, lane.version, lane.stay).state
            n += len(closed_windows(state, after=shipped.delivered(str(lane))))
            n += any(True for kept in (open_comparisons, open_pieces) for _ in kept(state))
        return n
    finally:
        shipped.close()
