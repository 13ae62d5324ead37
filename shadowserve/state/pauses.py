"""Pauses, as stretches of time: what came in one is skipped, whenever a lane gets to read it.

A lane that loads, or lags, reads minutes later what came while the team had paused. The wish is an
empty file for as long as it lasts; once it is over, a line says from when to when it did.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from shadowserve.state.places import Places

KEPT = 1_000
"""Pauses that are remembered; older ones were read by every lane long ago, or are skipped by none."""


def begin(places: Places) -> None:
    """Let lanes skip what comes from now on; a pause that lasts already goes on.

    Raises
    ------
    OSError
        If the state directory cannot be written.
    """
    if not places.paused.exists():
        places.paused.touch(mode=0o600)


def end(places: Places) -> None:
    """Let lanes score again what comes from now on, and remember how long they were not to.

    Raises
    ------
    OSError
        If the state directory cannot be written; the pause lasts then.
    """
    try:
        since_ns = places.paused.stat().st_mtime_ns
    except FileNotFoundError:
        return
    lines = [f"{since} {until}" for since, until in _read(places.pauses)[1 - KEPT :]]
    # The pause is remembered before its mark goes: a kill in between repeats it and loses nothing.
    draft = places.pauses.with_name(f".{places.pauses.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write("\n".join([*lines, f"{since_ns} {time.time_ns()}", ""]))
    draft.replace(places.pauses)
    places.paused.unlink(missing_ok=True)


@dataclass(slots=True)
class Pauses:
    """What one lane knows of them; the file is read again only when it changed.

    Parameters
    ----------
    places : Places
        The state directory.
    """

    places: Places
    _seen: int = 0
    _known: list[tuple[int, int]] = field(default_factory=list)

    @property
    def lasting(self) -> bool:
        """Whether lanes are to skip now whatever they read."""
        return self.places.paused.exists()

    def cover(self, arrived_wall_ns: int) -> bool:
        """Tell whether a request came in a pause, this one or one that is over.

        Parameters
        ----------
        arrived_wall_ns : int
            Since the epoch.
        """
        # A lane may come to a request long after the pause that it arrived in.
        return self.lasting or any(a <= arrived_wall_ns <= b for a, b in self.over())

    def over(self) -> list[tuple[int, int]]:
        """Return the pauses that are over, since the epoch in nanoseconds."""
        try:
            changed = self.places.pauses.stat().st_mtime_ns
        except FileNotFoundError:
            return []
        if changed != self._seen:
            self._seen, self._known = changed, _read(self.places.pauses)
        return self._known


def _read(path: Path) -> list[tuple[int, int]]:
    try:
        split = [line.split() for line in path.read_text().splitlines()]
    except (OSError, UnicodeDecodeError):
        return []
    # A line that was cut off by a full disk says nothing of when it ended.
    whole = (parts for parts in split if len(parts) == 2 and all(p.isdigit() for p in parts))
    return [(int(since), int(until)) for since, until in whole]
