"""Where a lane's time goes, by activity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from shadowserve.statistics.stored import Stored, plain

READ = "read"
ALONE = "score_alone"
BATCH = "score_batch"
AGAIN = "again"
COMPARE = "compare"
RECORD = "record"
COMMIT = "commit"
IDLE = "idle"
ACTIVITIES = (READ, ALONE, BATCH, AGAIN, COMPARE, RECORD, COMMIT, IDLE)
"""Reading and typing requests; scoring them alone, together, and a second time; comparing both answers;
recording and remembering them; committing; waiting, for requests, a turn to begin, or a CPU of its own."""

LATELY_NS = 60 * 10**9


class Spent(Stored):
    """A lane's time by activity: so far, in the open window, and lately.

    Attributes
    ----------
    total, window, lately : dict of activity to nanoseconds
        `lately` counts what was a minute ago for a third.

    Examples
    --------
    >>> spent = Spent()
    >>> spent.add({"score_alone": 3_000_000, "idle": 1_000_000})
    >>> spent.shares()["score_alone"], spent.of_window()["lane_ms/idle"]
    (0.75, 1.0)
    """

    parts: ClassVar = {"total": plain, "window": plain, "lately": plain}

    def __init__(self) -> None:
        self.total: dict[str, int] = {}
        self.window: dict[str, int] = {}
        self.lately: dict[str, float] = {}

    def add(self, spent_ns: Mapping[str, int]) -> None:
        """Take in what was spent since the last time."""
        left = math.exp(-sum(spent_ns.values()) / LATELY_NS)
        for activity in ACTIVITIES:
            ns = spent_ns.get(activity, 0)
            self.total[activity] = self.total.get(activity, 0) + ns
            self.window[activity] = self.window.get(activity, 0) + ns
            self.lately[activity] = self.lately.get(activity, 0.0) * left + ns

    def shares(self) -> dict[str, float]:
        """Return each activity's share of the time lately; empty before there was any."""
        whole = sum(self.lately.values())
        return {activity: ns / whole for activity, ns in self.lately.items()} if whole else {}

    def of_window(self) -> dict[str, float]:
        """Return the open window's metrics by name, in milliseconds."""
        return {f"lane_ms/{activity}": ns / 1e6 for activity, ns in self.window.items()}

    def begin_window(self) -> None:
        """Begin to count for another window."""
        self.window = {}
