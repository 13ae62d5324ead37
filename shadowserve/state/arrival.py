"""How evidence fares on its way to MLflow, as people and programs are told it.

The evidence writer writes it down after every try; status, report, page, metrics and the supervisor's
lines read it. Nothing here asks MLflow.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_TROUBLED = ("waiting", "failed")


@dataclass(frozen=True, slots=True)
class Late:
    """What an archived deployment has not delivered yet, and why."""

    deployment: str
    waiting: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """The evidence of a deployment, as its writer last wrote it down.

    Parameters
    ----------
    state : str
        ``starting``: nothing was tried yet. ``shipping``: what is closed has arrived or is arriving.
        ``waiting``: MLflow is away for now. ``failed``: it says no, and somebody must do something.
    since : str or None
        Since when it does not arrive: UTC, ISO 8601.
    waiting, arrived : int
        Closed windows of all lanes.
    status : int or None
        HTTP status of the last refusal.
    said : str
        The server's own words, as text; empty where it said nothing.
    reason : str or None
        What came, and what to do, in a line.
    late : tuple of Late
        Archived deployments with windows that wait.
    pages : mapping of lane to text
        MLflow's page of each lane's run: its address, or from ``#`` on where no server is known.
    """

    state: str = "starting"
    since: str | None = None
    waiting: int = 0
    arrived: int = 0
    status: int | None = None
    said: str = ""
    reason: str | None = None
    late: tuple[Late, ...] = ()
    pages: Mapping[str, str] = field(default_factory=dict)

    @property
    def troubled(self) -> bool:
        """Whether evidence waits because MLflow does not take it."""
        return self.state in _TROUBLED

    def to_dict(self) -> dict[str, Any]:
        """Return what programs are told."""
        return asdict(self) | {"late": [asdict(one) for one in self.late]}

    def __str__(self) -> str:
        """Return a line for people.

        Examples
        --------
        >>> str(Arrival("failed", "2001-02-03T14:02:05+00:00", waiting=12, reason="It answered 403."))
        'waiting since 2001-02-03 14:02 UTC, 12 windows. It answered 403.'
        >>> str(Arrival("shipping", arrived=3, waiting=1))
        '3 windows have arrived in MLflow, 1 waits'
        """
        return "; ".join([self._today(), *map(_of_late, self.late)])

    def _today(self) -> str:
        if self.troubled:
            return f"waiting since {_clock(self.since)}, {windows(self.waiting)}. {self.reason}"
        if self.state == "starting":
            return "nothing has been sent to MLflow yet"
        more = f", {self.waiting} wait{'s' if self.waiting == 1 else ''}" if self.waiting else ""
        have = "has" if self.arrived == 1 else "have"
        return f"{windows(self.arrived)} {have} arrived in MLflow{more}"


def read(path: Path) -> Arrival:
    """Read what the evidence writer wrote; `starting` where it has written nothing that can be read."""
    try:
        raw = json.loads(path.read_text())
        # Another release may have written it, so every part is asked for and none is relied on.
        named = raw.get("lanes", {})
        lanes = named.values()
        return Arrival(
            state=str(raw["state"]),
            since=raw.get("since"),
            waiting=sum(int(lane.get("waiting", 0)) for lane in lanes),
            arrived=sum(int(lane.get("arrived", 0)) for lane in lanes),
            status=raw.get("status"),
            said=str(raw.get("said") or ""),
            reason=raw.get("reason"),
            late=tuple(_late(one) for one in raw.get("late", ())),
            pages={name: str(one["page"]) for name, one in named.items() if one.get("page")},
        )
    except (OSError, ValueError, LookupError, AttributeError, TypeError):
        return Arrival()


def delivered(path: Path) -> dict[str, int]:
    """Return how many windows of each lane have arrived; none of a lane of which nothing was written."""
    try:
        lanes = json.loads(path.read_text())["lanes"]
        return {name: int(lane["arrived"]) for name, lane in lanes.items()}
    except (OSError, ValueError, LookupError, AttributeError, TypeError):
        return {}


def run_ids(path: Path) -> dict[str, str]:
    """Return the id of each lane's run; none of a lane of which nothing was written."""
    try:
        lanes = json.loads(path.read_text())["lanes"]
        return {name: str(lane["run_id"]) for name, lane in lanes.items() if lane.get("run_id")}
    except (OSError, ValueError, LookupError, AttributeError, TypeError):
        return {}


def of(told: Mapping[str, Any]) -> Arrival:
    """Return what a status or a report says of the evidence."""
    return Arrival(**{**told, "late": tuple(_late(one) for one in told.get("late", ()))})


def windows(n: int) -> str:
    """Return a number of windows in words."""
    return f"{n} window{'' if n == 1 else 's'}"


def _late(raw: Mapping[str, Any]) -> Late:
    return Late(str(raw["deployment"]), int(raw["waiting"]), raw.get("reason"))


def _of_late(one: Late) -> str:
    why = f" ({one.reason})" if one.reason else ""
    return f"{windows(one.waiting)} of {one.deployment} wait{why}"


def _clock(since: str | None) -> str:
    """Return a time of day in UTC, with its date where that is not today's."""
    if since is None:
        return "the start"
    at = datetime.fromisoformat(since).astimezone(UTC)
    today = at.date() == datetime.now(UTC).date()
    return f"{at:%H:%M} UTC" if today else f"{at:%Y-%m-%d %H:%M} UTC"
