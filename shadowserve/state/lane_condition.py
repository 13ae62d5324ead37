"""A lane's condition: its state and the reason for it, told by itself, and by the supervisor after its death."""

from __future__ import annotations

import json
import time
from typing import NamedTuple

from shadowserve.state.files import write_whole
from shadowserve.state.places import LanePlaces

STATES = ("starting", "running", "degraded", "incompatible", "paused")
"""All that a lane can be in."""
LEFT = "left"
"""What it is in once a challenger has left and its process has ended."""
LONG_START_S = 120.0
"""After how long a lane that still loads is told of."""


class Condition(NamedTuple):
    """State and reason of a lane.

    Parameters
    ----------
    state : str
        ``starting``, ``running``, ``degraded``, ``incompatible`` or, of a running one, ``paused``; ``left`` once
        a challenger has left and its process has ended.
    reason : str or None
        Why, in words or as a code with what it is about.
    """

    state: str
    reason: str | None = None

    def write(self, lane: LanePlaces) -> None:
        """Leave it where status finds it."""
        write_whole(lane.condition, json.dumps(self._asdict()))


def condition(lane: LanePlaces) -> Condition:
    """Return a lane's condition as it was written last.

    A lane that hangs while it loads its version says nothing; how long it has been at it is told here.
    """
    try:
        written = json.loads(lane.condition.read_text())
        waited_s = time.time() - lane.condition.stat().st_mtime
    except FileNotFoundError:
        return Condition("starting")
    found = Condition(written["state"], written.get("reason"))
    if found == Condition("starting") and waited_s >= LONG_START_S:
        waited = f"has been loading for {waited_s // 60:.0f} min"
        return Condition("starting", f"{waited}; it hangs, or nothing leaves it a CPU")
    return found
