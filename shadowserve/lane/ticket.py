"""A batch that a lane has handed out to its scorers, and what has come of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from shadowserve.lane.observing import Typed
from shadowserve.records import Observation


@dataclass(slots=True)
class Ticket:
    """A batch that was handed out.

    Attributes
    ----------
    left : int
        How many of its requests are not scored yet.
    seen : mapping of position to Observation
    fatal : set of position
        Requests whose scorers have died twice.
    by : mapping of position to int
        Number of the scorer that scored it; what the lane's own process scored is not in it.
    spent_ns : int
        What scoring took.
    """

    left: int
    by: dict[int, int] = field(default_factory=dict)
    seen: dict[int, Observation] = field(default_factory=dict)
    fatal: set[int] = field(default_factory=set)
    spent_ns: int = 0


@dataclass(slots=True)
class Job:
    """What one scorer is handed of a batch.

    Attributes
    ----------
    number : int
        By which an answer is told from others.
    blamed : bool
        Whether it is one request, to be scored by a scorer only.
    second : bool
        Whether it was scored before: a death of it changes nothing about its outcome.
    """

    number: int
    ticket: Ticket
    batch: Sequence[Typed]
    blamed: bool = False
    second: bool = False

    def take(self, seen: Sequence[Observation], *, spent_ns: int, by: int = 0) -> None:
        """Note what its requests were scored as, and by which scorer; 0 is the lane's own process."""
        positions = [typed.request.position for typed in self.batch]
        self.ticket.seen.update(zip(positions, seen, strict=True))
        self.ticket.left -= len(positions)
        self.ticket.spent_ns += spent_ns
        if by:
            self.ticket.by.update(dict.fromkeys(positions, by))
