"""The memory of alerts: what was seen, what waits to be sent, and what was, in one file replaced whole.

What is newly seen and that it waits is one write, and so is what was sent and that it waits no more. So a
death loses nothing, and repeats one message at most: the one that was on its way.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from shadowserve.alerts.event import Event
from shadowserve.state.files import write_whole
from shadowserve.state.places import Places

SCHEMA = "shadowserve/alerts/1"
MOST_ALARMS = 1_000
"""Alarms that are remembered as told; of older ones somebody may hear again."""
MOST_WAITING = 100
"""Events that wait; of more the oldest are kept, and the others counted."""
MOST_SENT = 200
"""Messages that are listed as sent."""

_log = logging.getLogger("shadowserve.alerts")


@dataclass(slots=True)
class Message:
    """A message on its way: what it tells stays the same at every try.

    Parameters
    ----------
    id : str
    events : list of Event
    untold : int
        Events that there was no room for.
    since_s : float
        When it was made, seconds since the epoch.
    tries : int
    next_s : float
        Before when it is not tried again.
    why : str
        Why the last try failed.
    """

    id: str
    events: list[Event]
    untold: int = 0
    since_s: float = 0.0
    tries: int = 0
    next_s: float = 0.0
    why: str = ""

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Read what was written."""
        return cls(**{**told, "events": [Event.of(one) for one in told["events"]]})


@dataclass(slots=True)
class Memory:
    """What is remembered of a deployment's alerts.

    Parameters
    ----------
    deployment : str
        Its id.
    alarms : list of str
        Signs of alarms that were seen, the newest last.
    verdicts, lanes : dict
        By challenger and by lane, as last seen.
    evidence : bool
        Whether it was seen that evidence does not arrive.
    handover : str
        When the last version was refused that was to take over, as it was seen.
    waiting : list of Event
    untold : int
        Events that there was no room for.
    message : Message or None
    tries_s : list of float
        When something was posted within the last hour, seconds since the epoch.
    sent : list of dict
        The last messages that were taken, or given up.
    """

    deployment: str
    alarms: list[str] = field(default_factory=list)
    verdicts: dict[str, str] = field(default_factory=dict)
    lanes: dict[str, str] = field(default_factory=dict)
    evidence: bool = False
    handover: str = ""
    waiting: list[Event] = field(default_factory=list)
    untold: int = 0
    message: Message | None = None
    tries_s: list[float] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)

    def add(self, event: Event) -> None:
        """Let an event wait, if there is room."""
        if len(self.waiting) < MOST_WAITING:
            self.waiting.append(event)
        else:
            self.untold += 1

    def write(self, places: Places) -> bool:
        """Write it down; False, told once in the log, where that is not possible now.

        What cannot be written is sent all the same: heard twice is better than not at all.
        """
        self.alarms, self.sent = self.alarms[-MOST_ALARMS:], self.sent[-MOST_SENT:]
        told = {"schema": SCHEMA, **asdict(self)}
        try:
            write_whole(places.alerts, json.dumps(told, indent=1))
        except OSError as error:
            _log.warning("what was told cannot be written down (%s)", error.strerror)
            return False
        return True


def read(places: Places, deployment_id: str) -> Memory:
    """Return what is remembered of a deployment; of another one, or of nothing that can be read, nothing."""
    try:
        told = json.loads(places.alerts.read_text())
        if told["deployment"] != deployment_id:
            return Memory(deployment_id)
        known = {name: told[name] for name in Memory.__slots__ if name in told}
        known["waiting"] = [Event.of(one) for one in known.get("waiting", ())]
        message = known.get("message")
        return Memory(**{**known, "message": Message.of(message) if message else None})
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return Memory(deployment_id)
