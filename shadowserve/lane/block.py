"""What a lane reads at once: a block of requests, what is done with each, and what was seen of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shadowserve.comparison.bursts import ControlTime
from shadowserve.lane.intake import Turn
from shadowserve.lane.observing import Typed
from shadowserve.lane.ticket import Ticket
from shadowserve.records import Observation, Outcome, Request

NOTHING = Observation()
"""What was seen of a request before it was scored."""


@dataclass(slots=True)
class Work:
    """One request of a read: what is done with it, and what was seen, by which scorer (0: by the lane itself)."""

    typed: Typed
    what: Turn
    sizes: Mapping[str, int]
    large: bool
    died: bool
    seen: Observation = NOTHING
    warmup: bool = False
    warm: bool = False
    pair: ControlTime | None = None
    share: float = 1.0
    by: int = 0

    @property
    def is_alone(self) -> bool:
        """Whether it is scored by itself: parameters hold for one request."""
        rows = self.typed.rows
        return self.what.score and (self.what.alone or (rows is not None and bool(rows.params)))

    @property
    def n_rows(self) -> int:
        """Rows; 1 for a request that could not be typed."""
        return self.typed.rows.n_rows if self.typed.rows else 1


@dataclass(slots=True)
class Block:
    """The requests of one read, which are dealt with together; nothing of them counts before `finish`.

    Parameters
    ----------
    requests : sequence of Request
    cursor : mapping of worker to sequence
        How far the journal is dealt with once the block is.
    counts : list of (outcome, n)
        Requests that are not scored.
    poisoned : list of Request
        Requests that two processes did not survive.
    thinned : int
        How many are left out, since the lane is behind.
    """

    requests: Sequence[Request]
    cursor: dict[int, int] = field(default_factory=dict)
    counts: list[tuple[Outcome, int]] = field(default_factory=list)
    poisoned: list[Request] = field(default_factory=list)
    work: list[Work] = field(default_factory=list)
    batches: list[tuple[Ticket, list[Work]]] = field(default_factory=list)
    fatal: set[int] = field(default_factory=set)
    thinned: int = 0

    def thin(self, request: Request) -> None:
        """Leave one of its requests out, since the lane is behind."""
        self.thinned += request.replay is None
        self.leave_out(request)

    def leave_out(self, request: Request) -> None:
        """Count a request of which nothing is learnt."""
        again = request.replay is not None
        self.counts.append((Outcome.REPLAYED if again else Outcome.SAMPLED_OUT, 1))

    @property
    def is_scored(self) -> bool:
        """Whether nothing of it is waited for."""
        return not any(ticket.left for ticket, _ in self.batches)
