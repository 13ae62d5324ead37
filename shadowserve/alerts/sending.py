"""Sending: what waits goes out as one message, tried with patience, and never more often than is allowed."""

from __future__ import annotations

import logging
import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from shadowserve.alerts import message
from shadowserve.alerts.delivery import Outcome, deliver
from shadowserve.alerts.memory import Memory, Message
from shadowserve.alerts.message import MOST_EVENTS, Names
from shadowserve.settings.alerting import Alerting
from shadowserve.state.places import Places

FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 600.0
GIVEN_UP_S = 86_400.0
"""After a day nobody needs to be told any more."""
HOUR_S = 3_600.0
SLACK_S = 60.0

Deliver = Callable[..., Outcome]
_log = logging.getLogger("shadowserve.alerts")


@dataclass(slots=True)
class Sender:
    """Sends what waits in a memory.

    Parameters
    ----------
    places : Places
    memory : Memory
    alerting : Alerting
    names : mapping
        Whose events they are.
    clock : callable
        Seconds since the epoch.
    """

    places: Places
    memory: Memory
    alerting: Alerting
    names: Names
    clock: Callable[[], float] = time.time
    _random: random.Random = field(default_factory=random.SystemRandom)

    def turn(self) -> bool:
        """Post what is due, once at most; True if something was posted."""
        now = self.clock()
        if self.memory.message is None and not (self.memory.waiting and self._is_allowed(now)):
            return False
        on_its_way = self.memory.message or self._made(now)
        if not (self._is_due(on_its_way, now) and self._is_allowed(now)):
            return False
        # Written down before it is posted: a death in between must not exceed what is allowed.
        on_its_way.tries += 1
        self.memory.tries_s.append(now)
        self.memory.write(self.places)
        outcome = self._posted(on_its_way)
        self._note(on_its_way, outcome, self.clock())
        self.memory.write(self.places)
        return True

    def _posted(self, one: Message) -> Outcome:
        body = message.body(
            one.id, one.events, self.names, shape=self.alerting.shape, untold=one.untold
        )
        return deliver(self.alerting.webhook, body, message_id=one.id)

    def _made(self, now: float) -> Message:
        """Put all that waits into one message: after an outage that is kinder than one for each."""
        events, self.memory.waiting = (
            self.memory.waiting[:MOST_EVENTS],
            self.memory.waiting[MOST_EVENTS:],
        )
        untold, self.memory.untold = self.memory.untold, 0
        self.memory.message = Message(secrets.token_hex(8), events, untold, since_s=now)
        return self.memory.message

    def _is_allowed(self, now: float) -> bool:
        # What lies ahead was written under a clock that has been set back since.
        recent = [at for at in self.memory.tries_s if now - HOUR_S < at <= now + SLACK_S]
        self.memory.tries_s = recent
        return len(recent) < self.alerting.per_hour

    def _is_due(self, one: Message, now: float) -> bool:
        return now >= one.next_s or one.next_s > now + 2 * HOUR_S

    def _note(self, one: Message, outcome: Outcome, now: float) -> None:
        if not outcome.taken and now - one.since_s < GIVEN_UP_S:
            if one.tries == 1:
                _log.warning("%s: %s. It is tried again.", self.alerting.receiver, outcome.says)
            pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(one.tries - 1, 10))
            # Jitter: many deployments that lost one receiver would else come back in the same second.
            one.next_s = now + max(outcome.wait_s, pause_s * self._random.uniform(0.5, 1.0))
            one.why = outcome.says
            return
        self.memory.message = None
        self.memory.sent.append(
            {
                "id": one.id,
                "at": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
                "taken": outcome.taken,
                "says": outcome.says,
                "tries": one.tries,
                "alerts": [
                    {"about": event.about, "text": event.text, "at": event.at}
                    for event in one.events
                ],
                "untold": one.untold,
            }
        )
