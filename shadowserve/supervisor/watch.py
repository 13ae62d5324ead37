"""Keeping lanes alive, and telling why one died.

The supervisor looks at each lane's in-flight mark: past the deadline the lane is killed, also when
its code holds the interpreter. A death with requests in hand is written down with its cause before
the next process starts, so that it can try them once more, alone. Deaths without progress lead to
longer and longer pauses, then to `degraded` until somebody says `resume`.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from shadowserve.ending import ending
from shadowserve.errors import UnreadableError
from shadowserve.host import clock
from shadowserve.host.pulse import Pulse
from shadowserve.settings.spellings import size_text
from shadowserve.state import inflight
from shadowserve.state.death import Death
from shadowserve.state.deployment import LaneName
from shadowserve.state.inflight import GAVE_UP, NO_ROOM, TOO_LARGE
from shadowserve.state.lane_condition import Condition, condition
from shadowserve.state.lane_reading import snapshot
from shadowserve.state.places import LanePlaces
from shadowserve.supervisor.allowance import Allowance, kernel_kills
from shadowserve.supervisor.child import Child

MAX_BARREN_DEATHS = 5
"""Deaths without progress before somebody is asked: with doubled pauses that is about eight seconds."""
MAX_SAME = 5
FIRST_PAUSE_S = 0.5
"""Long enough that a crash at import does not fill a core, short enough that nobody waits for it."""
LONGEST_PAUSE_S = 30.0
MAX_QUICK_POISONINGS = 20
"""A single bad request is skipped after two deaths; so many in a row mean that nearly every one is bad."""
QUICK_REQUESTS = 100
NO_ROOM_PAUSE_S = 2.0
LOOK_S = 0.25
"""The most that counts between two looks: beyond it the looker itself stood still."""
QUICK_NS = 30 * 10**9
TELL_EVERY_NS = 20 * 10**9
MAX_TOLD = 10
STEADY_NS = 120 * 10**9
_FROM_OUTSIDE = (-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP)


@dataclass(slots=True)
class LaneWatch:
    """One lane's process and what the supervisor does about it.

    Parameters
    ----------
    deadline_s : float
        How long a request may be in hand, less starvation.
    memory_bytes : int
        Memory of its own beyond which the lane is restarted.
    note : callable
        Counts an end: its cause, and by name what is known of it.
    say : callable
        Tells the user, one line a call.
    allowance : Allowance, optional
        Tells at each start how much that is.
    maker : Child, optional
        Makes, before each start, the environment that an isolated version needs; at once where it is there.
    """

    name: LaneName
    places: LanePlaces
    child: Child
    deadline_s: float
    memory_bytes: int
    note: Callable[..., None] = lambda *_, **__: None
    say: Callable[[str], None] = lambda _: None
    allowance: Allowance | None = None
    maker: Child | None = None
    barren_deaths: int = 0
    quick_poisonings: int = 0
    start_again_ns: int = 0
    degraded: bool = False
    _again: bool = False
    _cause: str | None = None
    _oom_kills: int = 0
    _done: int = 0
    _worked: tuple[int, int] = (0, 0)
    _overdue: inflight.Mark | None = None
    _killed_at: tuple[int | None, int] = (None, 0)
    _told_ns: int = -TELL_EVERY_NS
    _pulse: Pulse = field(default_factory=lambda: Pulse(moment_s=LOOK_S))

    def expect(self) -> None:
        """Set the state to `starting`, replacing what an earlier run wrote."""
        self._say("starting", None)

    def start(self) -> None:
        """Start the lane's process, after the one that makes what it needs."""
        self._say("starting", None)
        if self.maker is None:
            self._begin()
        else:
            self.maker.start()

    def _begin(self) -> None:
        self._cause = self._overdue = None
        self._oom_kills = kernel_kills()
        if self.allowance is not None:
            self.memory_bytes = self.allowance.bytes()
        self._done = self._count_done()
        self.child.start()

    def look(self) -> None:
        """Enforce deadline and memory on a live lane; deal with a dead one."""
        if self.degraded:
            return
        if self.maker is not None and self.maker.process is not None:
            self._look_at_maker(self.maker)
        elif self.child.running:
            self._enforce()
        elif self.child.process is not None:
            self._bury()
        elif time.monotonic_ns() >= self.start_again_ns:
            self.start()

    def resume(self) -> None:
        """Try a degraded lane again."""
        if self.degraded:
            self.degraded, self.start_again_ns = False, 0
            self.barren_deaths = self.quick_poisonings = 0
        elif condition(self.places).state == "degraded":
            self._again = True  # it has said so already, and is about to end

    def _look_at_maker(self, maker: Child) -> None:
        """Start the lane once what it needs is there; a maker that failed has said why."""
        code = maker.exit_code
        if code is None:
            return
        maker.process = None
        if code == 0:
            self._begin()
        elif code == GAVE_UP:
            self.degraded, self._again = not self._again, False
        else:
            self._barren(f"its environment was not made, {ending(code)}")

    def _enforce(self) -> None:
        if self._is_overdue():
            mark = inflight.read(self.places.inflight)
            # Read once more: between the look and now it may have finished what it had in hand.
            if not mark.positions:
                return  # it came to its end this instant
            # Kept from before the kill, since a lane that wakes up clears its mark on the way out.
            self._overdue = mark  # the signal that asks for its stacks may end a call that sleeps
            self._kill("deadline")
            return
        used = clock.own_bytes(self.child.pid)
        if used is not None and used > self.memory_bytes:
            self._kill("memory")

    def _is_overdue(self) -> bool:
        """Tell whether it has had the same in hand past the deadline, and was seen to all that time.

        What stood still with everybody else, such as a frozen container, was not at work.
        """
        mark = inflight.read(self.places.inflight)
        in_hand = mark.pid == self.child.pid and bool(mark.positions)
        self._worked = (mark.started_ns, mark.worked_ns()) if in_hand else (0, 0)
        seen_s = self._pulse.still_s((mark.pid, mark.started_ns) if in_hand else None)
        return in_hand and min(seen_s, self._worked[1] / 1e9) >= self.deadline_s

    def _kill(self, cause: str) -> None:
        self._cause = cause
        self.child.show_stacks()
        self.child.kill()

    def _bury(self) -> None:
        """Write down how it died and when it may start again."""
        code, cause = self.child.exit_code, self._why()
        # A mark of an earlier process lies in the same file; what that one had in hand is no
        # concern here.
        mark = self._overdue or inflight.read(self.places.inflight)
        in_hand = mark.positions if mark.pid == self.child.pid else ()
        cause = self._or_its_own(cause, in_hand)
        # It has ended, but its group lives on in what the model started, and holds memory.
        self.child.kill()  # what it had started itself
        self.child.process = None
        if code not in (GAVE_UP, NO_ROOM) and (code != 0 or in_hand):
            self._count(cause, code, mark if in_hand else None)
        if code == GAVE_UP:
            self.degraded, self._again = not self._again, False
        elif code == NO_ROOM:
            self.start_again_ns = time.monotonic_ns() + int(NO_ROOM_PAUSE_S * 1e9)
            self._say("starting", "waits for room to keep its state; nothing is lost")
        elif in_hand:
            Death(
                id=f"{mark.pid}-{mark.started_ns}",
                positions=in_hand,
                cause=cause,
                step=mark.step,
                worked_ms=self._worked_ns(mark) / 1e6,
            ).write(self.places.death)
            self._poisoned(cause)
        elif code != 0 and cause != "outside":
            self._barren(self._last_words() or self._ending(code, cause))
        elif code == 0 and condition(self.places).state == "starting":
            self._barren(f"{ending(code)}, while it was loaded")
        else:  # asked to end, or killed: perhaps by its own version, again and again
            self.start_again_ns = time.monotonic_ns() + int(FIRST_PAUSE_S * 1e9)
            self._say("starting", f"starts again in {FIRST_PAUSE_S:g} s ({ending(code)})")

    def _count(self, cause: str, code: int | None, mark: inflight.Mark | None) -> None:
        """Leave word of an end where it lasts, and tell it, a few times a minute at most."""
        positions = list(mark.positions[:MAX_TOLD]) if mark else []
        self.note(cause, exit_code=code, positions=positions, step=mark.step if mark else None)
        if time.monotonic_ns() - self._told_ns < TELL_EVERY_NS:
            return
        self._told_ns = time.monotonic_ns()
        how = {"deadline": "was ended at its deadline", "memory": "was ended for its memory"}
        at = f" with {len(mark.positions)} in hand" if mark else ""
        came = how.get(cause, f"ended ({ending(code)})")
        self.say(f"Lane {self.name} {came}{at}; it is started again. {self.child.log} says where.")

    def _worked_ns(self, mark: inflight.Mark) -> int:
        """Return how long a dead lane had worked on what it had in hand, as of the last look at it.

        The kernel forgets with a thread how long it was starved: what is read after its end is all wall
        time. Only where nobody had looked yet does that have to do.
        """
        started_ns, worked_ns = self._worked
        return worked_ns if started_ns == mark.started_ns else mark.worked_ns()

    def _poisoned(self, cause: str) -> None:
        """Go on at once after a request killed it, unless nearly every request does.

        A lane that catches up meets in seconds what callers sent in minutes: requests count too.
        """
        # Slow versions deal with few requests in any life, so few requests alone do not make a life
        # quick.
        soon = time.monotonic_ns() - self.child.started_ns < QUICK_NS
        quick = soon and cause != "outside" and self._count_done() - self._done < QUICK_REQUESTS
        # A death at a request is progress: it is tried once more alone, and then it is out of the
        # way.
        self.barren_deaths = 0
        self.quick_poisonings = self.quick_poisonings + 1 if quick else 0
        if self.quick_poisonings >= MAX_QUICK_POISONINGS:
            times = f"{self.quick_poisonings} times in a row"
            self._give_up(
                f"{self.name} died {times} within {QUICK_REQUESTS} requests of its start ({cause})"
            )

    def _barren(self, told: str) -> None:
        """Wait longer after each death of nothing in hand, and at last for somebody."""
        steady = time.monotonic_ns() - self.child.started_ns > STEADY_NS
        self.barren_deaths = 1 if steady else self.barren_deaths + 1
        if self.barren_deaths >= MAX_BARREN_DEATHS:
            times = f"{self.barren_deaths} times without progress"
            self._give_up(f"{self.name} died {times} ({told}); its log says more")
            return
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (self.barren_deaths - 1))
        self.start_again_ns = time.monotonic_ns() + int(pause * 1e9)
        self._say("starting", f"starts again in {pause:g} s ({told})")

    def _or_its_own(self, cause: str, in_hand: Sequence[int]) -> str:
        """Doubt that deaths come from outside which come with the same request in hand every time."""
        first = min(in_hand) if in_hand and cause == "outside" else None
        same = first is not None and first == self._killed_at[0]
        self._killed_at = first, self._killed_at[1] + 1 if same else 1
        # A version may send itself SIGTERM; an outside killer would not meet the same request every
        # time.
        return "crash" if same and self._killed_at[1] % MAX_SAME == 0 else cause

    def _last_words(self) -> str | None:
        """Return what it said of its own end; a start has left no reason."""
        state, reason = condition(self.places)
        return reason if state == "starting" else None

    def _ending(self, code: int | None, cause: str) -> str:
        if cause != "memory":
            return ending(code)
        if self._cause != "memory" and code != TOO_LARGE:
            return "the kernel ended it for want of memory; give the machine or container more"
        if self.allowance is not None:
            return self.allowance.told(self.memory_bytes)
        return f"it took more than {size_text(self.memory_bytes)} of memory"

    def _give_up(self, reason: str) -> None:
        self.degraded = True
        self._say("degraded", f"{reason}. 'shadowserve resume' tries again.")

    def _count_done(self) -> int:
        """Return how many requests it has dealt with so far; 0 where its file cannot be read now."""
        with contextlib.suppress(UnreadableError):
            return sum(snapshot(self.places.state, whole=False).outcomes.values())
        return 0

    def _why(self) -> str:
        if self._cause is not None:
            return self._cause
        if self.child.exit_code == TOO_LARGE:
            return "memory"
        if self.child.exit_code == -signal.SIGKILL:
            # SIGKILL tells nothing of its sender; only the kernel counts those that it sends for
            # memory.
            return "memory" if kernel_kills() > self._oom_kills else "outside"
        return "outside" if self.child.exit_code in _FROM_OUTSIDE else "crash"

    def _say(self, state: str, reason: str | None) -> None:
        with contextlib.suppress(OSError):  # a full disk; what matters is that it goes on
            Condition(state, reason).write(self.places)
