"""How many challengers a champion has had: all of them together share one alpha.

A challenger counts once it has been compared on as many requests as a verdict takes; what was started by
mistake and stopped again costs nobody anything.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from shadowserve.errors import ShadowserveError
from shadowserve.records import Outcome, Role
from shadowserve.state import deployment as deployments
from shadowserve.state.deployment import Deployment, LaneName
from shadowserve.state.lane_reading import snapshot
from shadowserve.state.places import Places


def challengers_before(places: Places, deployment: Deployment) -> int:
    """Return how many challengers earlier deployments have tried on the same champion.

    Parameters
    ----------
    places : Places
        The state directory; those that its archive has forgotten count no more.
    """
    return sum(
        was_tried(places_of, one, name)
        for places_of, one in _archived(places)
        if (one.model, one.champion.number) == (deployment.model, deployment.champion.number)
        for name in (*one.lanes, *one.left_lanes)
        if name.role is Role.CHALLENGER
    )


def _archived(places: Places) -> Iterator[tuple[Places, Deployment]]:
    for shelf in places.shelves:
        with contextlib.suppress(ShadowserveError, OSError):  # a damaged one was never judged here
            if (one := deployments.read(Places(shelf))) is not None:
                yield Places(shelf), one


def was_tried(places: Places, deployment: Deployment, name: LaneName) -> bool:
    """Tell whether a challenger has been compared on as many requests as a verdict takes."""
    with contextlib.suppress(ShadowserveError, OSError):
        file = places.lane(name.role, name.version, name.stay).state
        outcomes = snapshot(file, whole=False).outcomes
        least = deployment.options.policy.min_requests
        return bool(outcomes.get(Outcome.BOTH_OK.value, 0) >= least)
    return False
