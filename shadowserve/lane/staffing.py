"""How many processes score for a version with `--lane-processes auto`: what its traffic needs, and no more.

A lane begins with its own process alone. One more is taken once it has been behind for a while, and given back
once it has not been needed for longer. A process takes seconds to load and its memory for good, so that spikes
must not make it come and go: whoever takes one soon after giving one back keeps it twice as long the next time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

LAG_S = 2.0
"""A lane is behind when the oldest request that it reads is older."""

TAKE_S = 10.0
"""It has to be behind for so long; spikes that are shorter are worked off by those that are there."""

LOAD_S = 20.0
"""After one was taken, so long until the next: it has to load before it helps."""

GIVE_S = 120.0
MOST_GIVE_S = 3_600.0
SPARE = 0.85
"""One is not needed where the others would be busy for less than this share of their time."""

SOON_S = 3_600.0
ROOM = 1.5
"""Times the lane's own memory that must be free before another process is taken."""


@dataclass(slots=True)
class Staffing:
    """Decides how many processes score, the lane's own among them.

    Parameters
    ----------
    most : int
        As many as cores allow.
    has_room : callable
        Whether there is memory for another one.

    Examples
    --------
    >>> staffing = Staffing(2, has_room=lambda: True)
    >>> [staffing.look(lag_s=5.0, busy=1.0, now_s=second) for second in (0, 5, 10, 11)]
    [1, 1, 2, 2]
    """

    most: int
    has_room: Callable[[], bool]
    wanted: int = 1
    refused: bool = False
    _behind_s: float | None = None
    _spare_s: float | None = None
    _changed_s: float = -1e9
    _gave_s: float = -1e9
    _give_s: float = GIVE_S

    def look(self, *, lag_s: float, busy: float, now_s: float) -> int:
        """Return how many processes are to score from now on.

        Parameters
        ----------
        lag_s : float
            Age of the oldest request that is not read.
        busy : float
            How many processes were busy lately, as a number from 0 to as many as score.
        now_s : float
            Of a monotonic clock.
        """
        behind = lag_s >= LAG_S
        self._behind_s = _since(behind, self._behind_s, now_s)
        spare = not behind and self.wanted > 1 and busy < SPARE * (self.wanted - 1)
        self._spare_s = _since(spare, self._spare_s, now_s)
        if self._takes(now_s):
            self.refused = not self.has_room()
            if not self.refused:
                self._take(now_s)
        elif self._spare_s is not None and now_s - self._spare_s >= self._give_s:
            self.wanted -= 1
            self._changed_s = self._gave_s = now_s
            self._spare_s = None
        if not behind:
            self.refused = False
        return self.wanted

    def _takes(self, now_s: float) -> bool:
        long = self._behind_s is not None and now_s - self._behind_s >= TAKE_S
        return long and self.wanted < self.most and now_s - self._changed_s >= LOAD_S

    def _take(self, now_s: float) -> None:
        if now_s - self._gave_s <= SOON_S + self._give_s:
            self._give_s = min(MOST_GIVE_S, 2 * self._give_s)
        self.wanted += 1
        self._changed_s = now_s

    @property
    def remark(self) -> str:
        """Say how many score and why, as a clause."""
        told = f"{self.wanted} of up to {self.most} processes score, as traffic needs"
        return f"{told}; there is no memory for another" if self.refused else told


def _since(holds: bool, since_s: float | None, now_s: float) -> float | None:
    if not holds:
        return None
    return now_s if since_s is None else since_s
