"""What the ledger says: the counts that must balance, of the champion and of each lane."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from shadowserve.legible import share
from shadowserve.records import Outcome
from shadowserve.state import counters, unknown_columns
from shadowserve.state import ends as endings
from shadowserve.state.arrival import Arrival
from shadowserve.state.batching import Batching
from shadowserve.state.behind import Behind
from shadowserve.state.deployment import LaneName
from shadowserve.state.handovers import Handing
from shadowserve.state.isolation import Isolated
from shadowserve.state.switches import Switch
from shadowserve.statistics.measuring import Measuring
from shadowserve.statistics.switchback import Cost

LEAST_TOLD = 0.005
"""Of a lane's time: what takes less is not named to people."""

_AT_WORK = ("starting", "running", "paused")


_SKIPPED = (Outcome.SKIPPED_PAUSED, Outcome.SKIPPED_BUDGET, Outcome.SKIPPED_LOST)


@dataclass(frozen=True, slots=True)
class LaneLedger:
    """One lane's account of the requests up to the ledger's bound.

    Parameters
    ----------
    outcomes : mapping of Outcome to int
        Requests by what became of them; those that the budget deleted unread are in it.
    pending : int
        Requests in the journal beyond the lane's cursor, counted.
    lag_seconds : float
        Age of the oldest pending request, 0 if none is pending.
    ends : Ends
        How its processes ended so far.
    behind : Behind or None
        How far it is behind; None where it keeps up.
    pending_replayed : int
        Of those that are pending, how many a replay sent.
    joined : mapping of worker to sequence
        Where it joined; empty where it was there from the start.
    after : int or None
        Requests that came after it had left; None where it has not.
    """

    name: LaneName
    state: str
    reason: str | None
    outcomes: Mapping[Outcome, int]
    pending: int
    lag_seconds: float
    ends: endings.Ends = field(default_factory=endings.Ends)
    behind: Behind | None = None
    joined: Mapping[int, int] = field(default_factory=dict)
    after: int | None = None
    pending_replayed: int = 0

    @property
    def own(self) -> int:
        """Requests that were meant for it and that callers sent; a replay's are not among them."""
        return self.total - self.outcomes.get(Outcome.REPLAYED, 0) - self.pending_replayed

    @property
    def before(self) -> int:
        """Requests that were journaled before it joined."""
        return sum(self.joined.values())

    @property
    def total(self) -> int:
        """Outcomes and pending together: the requests that were meant for it."""
        return sum(self.outcomes.values()) + self.pending

    @property
    def accounted(self) -> int:
        """All requests, by its account: before it joined, meant for it, and after it left; equals the journal's `appended`."""
        return self.before + self.total + (self.after or 0)

    def to_dict(self) -> dict[str, Any]:
        """Return the lane's part of the contract."""
        counts = {
            outcome.value: self.outcomes.get(outcome, 0)
            for outcome in Outcome
            if outcome not in _SKIPPED
        }
        return {
            "role": self.name.role.value,
            "version": self.name.version,
            "state": self.state,
            "reason": self.reason,
            **counts,
            "skipped": {
                "paused": self.outcomes.get(Outcome.SKIPPED_PAUSED, 0),
                "budget": self.outcomes.get(Outcome.SKIPPED_BUDGET, 0),
                "lost": self.outcomes.get(Outcome.SKIPPED_LOST, 0),
            },
            "pending": self.pending,
            "lag_seconds": round(self.lag_seconds, 3),
            "behind": None if self.behind is None else self.behind.to_dict(),
            "joined": self._joined(),
            **({} if self.after is None else {"stay": self.name.stay, "after": self.after}),
            **self.ends.to_dict(),
        }

    def _joined(self) -> dict[str, Any] | None:
        if not self.joined:
            return None
        position = {str(worker): sequence for worker, sequence in sorted(self.joined.items())}
        return {"position": position, "before": self.before}


@dataclass(frozen=True, slots=True)
class LaneTime:
    """Where a lane's time goes, and how much of the traffic it times.

    Parameters
    ----------
    lately : mapping of activity to float
        Shares of the lane's time.
    """

    name: LaneName
    lately: Mapping[str, float]
    measuring: Measuring

    def to_dict(self) -> dict[str, Any]:
        """Return the lane's part of the status."""
        return {
            "role": self.name.role.value,
            "version": self.name.version,
            "lately": {activity: round(part, 4) for activity, part in self.lately.items()},
            "measuring": self.measuring.to_dict(),
        }

    def __str__(self) -> str:
        """Say it for people: the activities that take the most first."""
        spent = sorted(self.lately.items(), key=lambda item: -item[1])
        told = ", ".join(
            f"{name.replace('_', ' ')} {share(part)}" for name, part in spent if part >= LEAST_TOLD
        )
        return f"{self.name.role} v{self.name.version}, lately: {told}; {self.measuring}"


@dataclass(frozen=True, slots=True)
class Ledger:
    """The whole account at one bound.

    Parameters
    ----------
    champion : Counts
        All workers' counts together.
    journal_bytes : int
        Size of the journal on disk now.
    met : Met
        Names of request columns that the signature does not know.
    batching : tuple of Batching
        Whether calls are shared, of the champion first, then of each challenger.
    ends : mapping of str to Ends
        How processes ended so far.
    costs : tuple of Cost
        What lanes cost the champion's callers, once that was measured often enough.
    arrival : Arrival
        How evidence fares on its way to MLflow.
    times : tuple of LaneTime
        Where the lanes' time goes, of those that have begun.
    handing : Handing or None
        The last handover of the state directory.
    switch : Switch or None
        The last move of an alias that rests on this deployment.
    left : tuple of LaneLedger
        Challengers that have left.
    isolated : tuple of Isolated
        In what those challengers run that have an environment of their own.
    lane_numbers : mapping of pin to int
        Of the challengers whose lanes do not have the version's own number.
    stands_still : bool
        Whether lanes stand still on purpose just now, to show what they cost callers.
    """

    deployment: str
    model: str
    version: int
    champion: counters.Counts
    journal_bytes: int
    lanes: tuple[LaneLedger, ...]
    met: unknown_columns.Met = field(default_factory=unknown_columns.Met)
    costs: tuple[Cost, ...] = ()
    arrival: Arrival = field(default_factory=Arrival)
    batching: tuple[Batching, ...] = ()
    ends: Mapping[str, endings.Ends] = field(default_factory=dict)
    times: tuple[LaneTime, ...] = ()
    switch: Switch | None = None
    handing: Handing | None = None
    left: tuple[LaneLedger, ...] = ()
    isolated: tuple[Isolated, ...] = ()
    lane_numbers: Mapping[str, int] = field(default_factory=dict)
    stands_still: bool = False

    @property
    def balanced(self) -> bool:
        """Whether every answered request is accounted for, in the journal and in every lane."""
        counted = self.champion
        # Two sums that are written by different hands: what was answered, and what became of it.
        journaled = counted.answered + counted.failed == counted.appended + counted.append_failed
        lanes = (*self.lanes, *self.left)
        return journaled and all(lane.accounted == counted.appended for lane in lanes)

    def to_status(self, *, served: bool = True) -> dict[str, Any]:
        """Return the contract's JSON, with the names of unknown columns, which no report holds, and costs.

        Parameters
        ----------
        served : bool
            Whether a supervisor is at work; without one no lane runs, whatever it last said.
        """
        counted = {"count": self.champion.extra_columns}
        told = self.to_dict()
        if not served:
            gone = {"state": "stopped"}
            # A lane's last word is "running" when it was killed with its supervisor.
            told["lanes"] = [
                lane | (gone if lane["state"] in _AT_WORK else {}) for lane in told["lanes"]
            ]
        return {
            **told,
            "served": served,
            "extra_columns": counted | self.met.to_dict(),
            "batching": [one.to_dict() for one in self.batching],
            "cost_to_callers": [asdict(cost) for cost in self.costs],
            "lane_time": [one.to_dict() for one in self.times],
            "evidence": self.arrival.to_dict(),
            "switch": None
            if self.switch is None
            else {**self.switch.to_dict(), "says": self.switch.says},
            "handover": None if self.handing is None else self.handing.to_dict(),
            "isolated": [one.to_dict() for one in self.isolated],
            "lane_numbers": dict(self.lane_numbers),
            "lanes_stand_still": self.stands_still,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the contract's JSON."""
        counted = self.champion
        names = (
            "answered",
            "failed",
            "rejected",
            "overloaded",
            "client_gone",
            "extra_columns",
            "turned_away",
            "not_ready",
            "timed_out",
            "lost",
            "replayed",
            "replay_rejected",
        )
        return {
            "deployment": self.deployment,
            "model": self.model,
            "champion": {
                "version": self.version,
                **{name: getattr(counted, name) for name in names},
                **endings.workers(self.ends).to_dict(),
            },
            "journal": {
                "appended": counted.appended,
                "append_failed": counted.append_failed,
                "bytes": self.journal_bytes,
            },
            "lanes": [lane.to_dict() for lane in self.lanes],
            "left": [lane.to_dict() for lane in self.left],
            "balanced": self.balanced,
        }
