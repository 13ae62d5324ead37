"""A generation of champion workers: replaced when they die or hang, their deaths counted and told.

All of a generation serve one version of one deployment, under numbers of their own. A handover makes another one beside
it; the two know nothing of each other.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import closing
from dataclasses import dataclass, field

from shadowserve.ending import ending
from shadowserve.errors import JournalError, UnreadableError
from shadowserve.host.pulse import Pulse
from shadowserve.journal import recovery
from shadowserve.serving.bentoml_worker import GAVE_UP_CALL, hang_limit_s
from shadowserve.state import counters, ends
from shadowserve.state.ledger import reconcile
from shadowserve.state.places import Places
from shadowserve.supervisor.child import Child
from shadowserve.supervisor.line import Line

STUCK_GRACE_S = 5.0
"""How much later than a worker itself its supervisor gives it up."""
LEAST_STUCK_S = 10.0
LONGEST_PAUSE_S = 10.0


@dataclass(slots=True)
class Workers:
    """All champion workers of one data plane; there are none where the champion answers elsewhere.

    Parameters
    ----------
    places : Places
        Where workers keep the counters that tell whether they still do anything.
    request_timeout : float
        Seconds that the model may take for a caller; what takes longer by far is stuck.
    say : callable
        Tells the user, one line a call.
    first : int
        Number of the first of them.
    lines : list of Line
        To each of them; none where the system lets nobody hand over.

    Attributes
    ----------
    deaths : int
        Since the champion was last ready.
    """

    places: Places
    request_timeout: float
    say: Callable[[str], None]
    first: int = 0
    children: list[Child] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    deaths: int = 0
    pulses: dict[object, Pulse] = field(default_factory=dict)
    _stuck: dict[int, str] = field(default_factory=dict)

    def begin(self, children: list[Child]) -> None:
        """Start them; they import while the pins are resolved."""
        self.children = children
        for child in children:
            child.start()

    @property
    def numbers(self) -> range:
        """Their numbers, under which they count and journal."""
        return range(self.first, self.first + len(self.children))

    def recover(self, workers: Iterable[int] | None = None) -> None:
        """Seal and count what earlier workers left; what cannot be sealed now is so later."""
        for worker, path in self.places.all_counters().items():
            if workers is not None and worker not in workers:
                continue
            with closing(counters.Counters(path)) as counted:
                try:
                    _count_lost(counted)
                    known = counted.counts().sequence
                    recovery.recover(self.places.journal, worker=worker, known=known)
                    reconcile(self.places, counted, worker=worker)
                except (JournalError, UnreadableError) as error:
                    self.say(str(error))

    def look(self) -> None:
        """Replace what died or hangs; wait longer after each death without being ready between."""
        for index, child in enumerate(self.children):
            if child.running:
                self.end_if_stuck(index, child)
                continue
            pause = min(LONGEST_PAUSE_S, 2.0 ** (self.deaths - 2))
            if self.deaths and time.monotonic_ns() < child.started_ns + pause * 1e9:
                continue
            self.deaths += 1
            self._bury(index, child)
            self.places.champion_failed.unlink(missing_ok=True)
            child.start()

    def _bury(self, index: int, child: Child) -> None:
        """Count a worker's death, and the requests that died with it; tell both."""
        reason = self.failure() or ending(child.exit_code)
        lost = 0
        with closing(counters.Counters(self.places.counters(self.first + index))) as counted:
            if counted.counts().pid == child.pid:
                lost = _count_lost(counted)
        cause = self._stuck.pop(child.pid, None) or _cause(child.exit_code)
        ends.note(self.places, ends.of_worker(self.first + index), cause, exit_code=child.exit_code)
        with_it = f", {lost} request{'s' * (lost != 1)} with it" if lost else ""
        self.say(f"{child.name} died ({reason}){with_it}; it is being replaced.")

    def end_if_stuck(self, index: int, child: Child) -> None:
        """End a worker that has been in one call, or has not looked after its callers, for too long.

        It gives up a call itself, after answering whoever waits; here it is one that cannot any more.
        """
        counted = counters.read(self.places.counters(self.first + index))
        if counted.pid != child.pid or not (counted.busy_ns or counted.beat_ns):
            return
        asked_s = self.request_timeout
        limits = {
            "been in one call of the model": (
                counted.busy_ns,
                hang_limit_s(asked_s) + STUCK_GRACE_S,
            ),
            "answered nobody": (counted.beat_ns, max(asked_s, LEAST_STUCK_S)),
        }
        for does, (sign, limit_s) in limits.items():
            seen = self.pulses.setdefault((index, does), Pulse())
            still_s = seen.still_s((child.pid, sign) if sign else None)
            if sign and still_s > limit_s:
                self.say(f"{child.name} has {does} for {still_s:.0f} s. {child.log} says where.")
                self._stuck[child.pid] = "hang"
                child.show_stacks()
                child.kill()
                return

    def accepts(self, index: int) -> bool:
        """Tell whether a worker has come so far that it takes connections: its champion is loaded."""
        child = self.children[index]
        counted = counters.read(self.places.counters(self.first + index))
        return child.running and counted.pid == child.pid and bool(counted.ready)

    @property
    def accept(self) -> bool:
        """Whether any of them takes connections."""
        return any(map(self.accepts, range(len(self.children))))

    @property
    def all_accept(self) -> bool:
        """Whether all of them do."""
        return all(map(self.accepts, range(len(self.children))))

    def end(self, *, deadline_s: float) -> None:
        """Ask all to finish what they have, and end those that do not in time."""
        for child in self.children:
            child.signal(signal.SIGTERM)
        until = time.monotonic() + deadline_s
        for child in self.children:
            child.wait(until - time.monotonic())
            child.kill()

    def bury_all(self, *, resting: Collection[int] = ()) -> None:
        """Seal and count what those left that have ended; the others' files are closed already.

        Parameters
        ----------
        resting : collection of int
            Which of them have not ended.
        """
        for index, child in enumerate(self.children):
            if index not in resting and child.exit_code not in (0, None):
                self.say(f"{child.name} of the former generation died ({ending(child.exit_code)}).")
                ends.note(
                    self.places,
                    ends.of_worker(self.first + index),
                    _cause(child.exit_code),
                    exit_code=child.exit_code,
                )
        self.recover(self.numbers)

    def retire(self) -> None:
        """Give no more orders to processes that have ended."""
        for line in self.lines:
            line.close()
        self.lines = []

    def failure(self) -> str | None:
        """Return why a worker gave up, in its own words."""
        try:
            return str(json.loads(self.places.champion_failed.read_text())["reason"])
        except FileNotFoundError:
            return None


def _count_lost(counted: counters.Counters) -> int:
    """Count the requests that a dead worker had in hand as lost; return how many they were."""
    lost = counted.counts().in_hand
    if lost:
        counted.add("lost", lost)
        counted.set("in_hand", 0)
    return lost


def _cause(code: int | None) -> str:
    """Tell why a worker ended that nobody here ended."""
    if code == GAVE_UP_CALL:
        return "hang"
    return "outside" if code in (-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP) else "crash"
