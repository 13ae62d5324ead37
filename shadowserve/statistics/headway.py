"""How quickly requests come and a lane gets through them, lately: what it takes to catch up."""

from __future__ import annotations

import math
from typing import ClassVar

from shadowserve.statistics.stored import Stored, plain

HORIZON_NS = 60 * 10**9
"""Over so much time the two rates are means: shorter, and a burst would pass for the traffic."""


class Headway(Stored):
    """Requests that came, and that a lane dealt with, in the time that it was at work.

    Attributes
    ----------
    processes, most : int
        How many processes score now, and how many may.

    Examples
    --------
    >>> headway = Headway()
    >>> headway.pass_time(2 * 10**9, came=600, dealt=400)
    >>> headway.came_per_s, headway.dealt_per_s
    (300.0, 200.0)
    """

    parts: ClassVar = {
        "wall_ns": plain,
        "came": plain,
        "dealt": plain,
        "processes": plain,
        "most": plain,
    }

    def __init__(self) -> None:
        self.wall_ns = self.came = self.dealt = 0.0
        self.processes = self.most = 1

    def pass_time(self, ns: int, *, came: int, dealt: int) -> None:
        """Take in what came to the journal and what was dealt with in some time."""
        left = math.exp(-ns / HORIZON_NS)
        self.wall_ns = self.wall_ns * left + ns
        self.came = self.came * left + came
        self.dealt = self.dealt * left + dealt

    @property
    def came_per_s(self) -> float:
        """Requests a second that the journal takes in; 0 before there was any time."""
        return self.came / self.wall_ns * 1e9 if self.wall_ns else 0.0

    @property
    def dealt_per_s(self) -> float:
        """Requests a second that the lane gets through."""
        return self.dealt / self.wall_ns * 1e9 if self.wall_ns else 0.0
