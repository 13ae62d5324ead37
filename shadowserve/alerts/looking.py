"""The look at a deployment: what is new since the last one, and worth that somebody hears of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from shadowserve.alerts.event import Event
from shadowserve.alerts.memory import Memory
from shadowserve.errors import UnreadableError
from shadowserve.report.wording import (
    alarm,
    lane_fails,
    not_taken_over,
    unarrived,
    verdict_changed,
)
from shadowserve.state import arrival, handovers
from shadowserve.state.deployment import Deployment
from shadowserve.state.lane_condition import condition
from shadowserve.state.lane_reading import closed_windows
from shadowserve.state.places import Places

FIRST = "continue"
"""What a verdict is before anything is known."""
FAILED = ("degraded", "incompatible")
ALARMS = ("warning", "critical")
WRITER_S = 900.0
"""For how long a closed window may lie though its writer complains of nothing: then it hangs, or keeps ending."""

Report = Callable[[Places, Deployment, int], Mapping[str, Any]]


@dataclass(slots=True)
class Looker:
    """Looks, and remembers what it saw.

    Parameters
    ----------
    places : Places
    deployment : Deployment
    memory : Memory
        What was seen before; what is new is added, and waits there.
    on : tuple of str
        What is worth an event.
    evidence_after_s : float
        For how long evidence may wait.
    """

    places: Places
    deployment: Deployment
    memory: Memory
    on: tuple[str, ...]
    evidence_after_s: float

    def at_files(self) -> bool:
        """Look at lanes and evidence, which costs next to nothing; True if something is new."""
        before = (dict(self.memory.lanes), self.memory.evidence)
        self._take(self._of_lanes())
        self._take(self._of_evidence())
        refused = self._take(self._of_handover())
        return refused or before != (self.memory.lanes, self.memory.evidence)

    def at_report(self, challenger: int, report: Mapping[str, Any]) -> bool:
        """Look at a challenger's report; True if something is new."""
        found = self._take(self._of_alarms(challenger, report))
        return self._take(self._of_verdict(challenger, report)) or found

    def _take(self, found: Iterable[Event]) -> bool:
        """Remember each event as soon as it is known: what goes wrong at a later one loses none."""
        came = False
        for event in found:
            came = True
            if event.about in self.on:
                self.memory.add(event)
        return came

    def _of_alarms(self, challenger: int, report: Mapping[str, Any]) -> Iterator[Event]:
        for finding in report["findings"]:
            said = finding["accepted"]
            if finding["severity"] not in ALARMS or (said and said["holds"]):
                continue
            # Once for each severity, and once more for each time that it has outgrown what was accepted.
            sign = f"{self._key(challenger)} {finding['id']} {finding['severity']} {said['at'] if said else ''}"
            if sign in self.memory.alarms:
                continue
            facts = {name: finding[name] for name in ("id", "kind", "severity")}
            where = {name: finding["where"][name] for name in ("role", "step", "columns")}
            event = self._event(
                "alarm",
                alarm(finding, challenger),
                challenger=challenger,
                finding={**facts, **where},
            )
            self.memory.alarms.append(sign)
            yield event

    def _of_verdict(self, challenger: int, report: Mapping[str, Any]) -> Iterator[Event]:
        key = self._key(challenger)
        before = self.memory.verdicts.get(key, FIRST)
        now = report["verdict"]
        self.memory.verdicts[key] = now
        if now != before:
            yield self._event(
                "verdict", verdict_changed(challenger, before, now),
                challenger=challenger, verdict=now, was=before,
            )  # fmt: skip

    def _key(self, challenger: int) -> str:
        """Return what a challenger is remembered by: one that comes again is another."""
        stay = self.deployment.stay_of(challenger).number
        return str(challenger) if stay == 1 else f"{challenger}-{stay}"

    def _of_lanes(self) -> Iterator[Event]:
        for name in self.deployment.lanes:
            state, _ = condition(self.places.lane(name.role, name.version, name.stay))
            before = self.memory.lanes.get(str(name), "running")
            # A start says nothing yet: a lane that fails again after it is no news.
            if state == "starting" or state == before:
                continue
            self.memory.lanes[str(name)] = state
            if state in FAILED:
                yield self._event("lane", lane_fails(str(name), state), lane=str(name), state=state)

    def _of_evidence(self) -> Iterator[Event]:
        late_s = self._late_s()
        if late_s is None:
            self.memory.evidence = False
        elif late_s > 0 and not self.memory.evidence:
            self.memory.evidence = True
            yield self._event("evidence", unarrived(), waiting=self._arrival().waiting)

    def _of_handover(self) -> Iterator[Event]:
        last = handovers.read(self.places)
        if last is not None and last.state == handovers.REFUSED and last.at > self._since():
            self.memory.handover = last.at
            yield self._event("handover", not_taken_over(last.coming), version=last.coming)

    def _since(self) -> str:
        """Return the moment up to which refused handovers are known, or none of this deployment's."""
        return max(self.memory.handover, self.deployment.started)

    def _late_s(self) -> float | None:
        """Return for how long evidence is late beyond what is allowed; 0 while it is not, None once it arrives."""
        seen = self._arrival()
        if seen.troubled and seen.since is not None:
            waited_s = time.time() - datetime.fromisoformat(seen.since).timestamp()
            return max(0.0, waited_s - self.evidence_after_s)
        lying_s = self._lying_s()
        if lying_s > max(WRITER_S, self.evidence_after_s):
            return lying_s
        return None if seen.state == "shipping" else 0.0

    def _lying_s(self) -> float:
        """Return for how long the oldest window that has not arrived has been closed."""
        arrived = arrival.delivered(self.places.arrival)
        waited = [0.0]
        for name in self.deployment.lanes:
            state = self.places.lane(name.role, name.version, name.stay).state
            # A lane whose file cannot be read is told of by its own state.
            with suppress(UnreadableError):
                closed = closed_windows(state, after=arrived.get(str(name), 0) - 1)[:1]
                waited += [time.time() - one.closed_ns / 1e9 for one in closed]
        return max(waited)

    def _arrival(self) -> arrival.Arrival:
        return arrival.read(self.places.arrival)

    def _event(self, about: str, text: str, **facts: Any) -> Event:
        return Event(about, text, datetime.now(UTC).isoformat(timespec="seconds"), facts)
