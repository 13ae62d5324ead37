"""How much a target takes: the rate is raised step by step until something breaks, and what broke first is named.

A step sends at one rate for some seconds, evenly. Where more comes than is served, answers take longer and longer, and
that is seen long before anything fails. A limit that breaks once is tried again, since a machine may stop for a moment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from shadowserve.records import Role
from shadowserve.replay.account import Look
from shadowserve.replay.tally import Tally

CHAMPION, JOURNAL = "champion", "journal"
FACTOR = 1.5
WAITS = 512
"""Requests before a lane from which it is never without work; it reads no more at once."""
LEAST_BEHIND_S = 5.0
CLOSE = 1.04
"""Highest rate that held and lowest that broke: nearer to each other they need not be."""
MOST_ERRORS = 0.01
GROWS = 2.0
GROWS_S = 0.010
"""Answers take longer and longer where those of the last quarter take so many times as long as those of the first one,
and so much more."""
LEAST_JUDGED = 8
"""Requests of a quarter; of fewer nothing is told."""
LATE_S = 0.050
"""A sender that is itself so late (p99) has found its own capacity."""


class Break(NamedTuple):
    """What broke, and in what way."""

    part: str
    why: str


@dataclass(frozen=True, slots=True)
class Step:
    """One rate, tried once.

    Parameters
    ----------
    rate : float
        Requests a second.
    seconds : float
        For how long they were sent.
    tally : Tally
    before, after : Look or None
        The target's own account; None where it gives none.
    """

    rate: float
    seconds: float
    tally: Tally
    before: Look | None = None
    after: Look | None = None

    @property
    def p99_ms(self) -> float:
        """From when requests were due; NaN where none was answered."""
        took = self.tally.took_s()[self.tally.good()]
        return float(np.quantile(took, 0.99)) * 1e3 if len(took) else float("nan")

    @property
    def answered_per_s(self) -> float:
        """Answers a second, by the time of the last one."""
        if not self.tally.answered:
            return 0.0
        good = self.tally.good()
        last = float((self.tally.due_s() + self.tally.took_s())[good].max())
        return self.tally.answered / max(last, self.seconds)


@dataclass(slots=True)
class Limits:
    """What must hold.

    Parameters
    ----------
    p99_ms : float
        How long answers may take, from when requests were due.
    most_rate : float
        No more is tried.
    """

    p99_ms: float = 1_000.0
    most_rate: float = 5_000.0


@dataclass(slots=True)
class Found:
    """What came of the search.

    Parameters
    ----------
    held : float
        The highest rate that the champion served within limits; 0 for none.
    broke : float or None
        The lowest at which it did not; None where none broke it.
    first : dict of part to (rate, why)
        The lowest rate at which each part broke.
    ended_by : str
        ``found``, ``most_rate``, ``sender`` (which could send no more) or ``stopped``.
    """

    held: float = 0.0
    broke: float | None = None
    first: dict[str, tuple[float, str]] = field(default_factory=dict)
    steps: list[tuple[Step, list[Break]]] = field(default_factory=list)
    ended_by: str = "found"

    def take(self, step: Step, breaks: list[Break]) -> None:
        """Take in a step."""
        self.steps.append((step, breaks))
        for part, why in breaks:
            known = self.first.get(part)
            if known is None or step.rate < known[0]:
                self.first[part] = (step.rate, why)

    def settle(self) -> None:
        """Hold of each part against it what it bore later: what broke once and not again did not break."""
        held = max((s.rate for s, b in self.steps if not _of(CHAMPION, b)), default=0.0)
        broke = [s.rate for s, b in self.steps if _of(CHAMPION, b) and s.rate > held]
        self.held, self.broke = held, min(broke, default=None)
        if CHAMPION in self.first and self.broke is not None:
            why = next(_of(CHAMPION, b) for s, b in self.steps if s.rate == self.broke and _of(CHAMPION, b))  # fmt: skip
            self.first[CHAMPION] = (self.broke, str(why))
        else:
            self.first.pop(CHAMPION, None)
        self._settle_lanes()

    def _settle_lanes(self) -> None:
        """Say of each lane that had always something before it what it got through, and which rate that is too little for.

        A control reads no further than challengers have come, so behind one of them it only waits.
        """
        looks = [look for step, _ in self.steps for look in (step.before, step.after) if look]
        rates = sorted(step.rate for step, _ in self.steps)
        late = {
            name: (rate, pace)
            for name in (looks[-1].lanes if looks else ())
            if (pace := lane_pace(name, looks)) is not None
            and (rate := next((one for one in rates if one > pace), None)) is not None
        }
        challengers = {n: told for n, told in late.items() if n.startswith(Role.CHALLENGER)}
        for name, (rate, pace) in (challengers or late).items():
            part = "scorers" if looks[-1].lanes[name].scoring else "recorder"
            why = f"it gets through about {pace:.0f} a second while requests wait"
            self.first[f"{part} of {name}"] = (rate, why)

    @property
    def order(self) -> list[tuple[str, float, str]]:
        """What broke, at which rate and why; the first to break first."""
        return sorted(((p, r, w) for p, (r, w) in self.first.items()), key=lambda one: one[1])

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "held_per_s": round(self.held, 2),
            "broke_per_s": None if self.broke is None else round(self.broke, 2),
            "ended_by": self.ended_by,
            "broke_first": [
                {"part": part, "per_s": round(rate, 2), "why": why}
                for part, rate, why in self.order
            ],
            "steps": [
                {
                    "per_s": round(step.rate, 2),
                    "answered_per_s": round(step.answered_per_s, 2),
                    "p99_ms": None if np.isnan(step.p99_ms) else round(step.p99_ms, 2),
                    "errors": step.tally.errors,
                    "broke": [{"part": part, "why": why} for part, why in breaks],
                }
                for step, breaks in self.steps
            ],
        }


def _of(part: str, breaks: list[Break]) -> str | None:
    return next((why for name, why in breaks if name == part), None)


def find(
    run: Callable[[float], Step | None],
    limits: Limits,
    *,
    start: float,
    told: Callable[[Step, list[Break]], None] = lambda _step, _breaks: None,
) -> Found:
    """Raise the rate until the champion breaks, then close in on where it does.

    Parameters
    ----------
    run : callable
        Rate to the step that was tried at it; None where somebody wants to stop.
    limits : Limits
    start : float
        The first rate.
    told : callable
        Told each step as it ends.
    """
    found, rate, low, high = Found(), min(start, limits.most_rate), 0.0, float("inf")
    while low == 0.0 or high / low > CLOSE:
        broken = _tried(run, rate, limits, found, told)
        if broken is None:
            break
        low, high = (low, rate) if broken else (rate, high)
        if low >= limits.most_rate:
            found.ended_by = "most_rate"
            break
        if high == float("inf"):
            rate = min(rate * FACTOR, limits.most_rate)
        else:
            rate = (low * high) ** 0.5 if low else high / FACTOR
        if high <= start / FACTOR**12:  # it serves nothing at all
            break
    found.settle()
    return found


def _tried(
    run: Callable[[float], Step | None],
    rate: float,
    limits: Limits,
    found: Found,
    told: Callable[[Step, list[Break]], None],
) -> bool | None:
    """Try a rate, once more if the champion broke; return whether it did, None where nothing more can be found."""
    for _ in range(2):
        step = run(rate)
        if step is None:
            found.ended_by = "stopped"
            return None
        late = step.tally.late_s()
        if len(late) and np.quantile(late, 0.99) > LATE_S:
            found.ended_by = "sender"
            return None
        breaks = broken(step, limits)
        found.take(step, breaks)
        told(step, breaks)
        if _of(CHAMPION, breaks) is None:
            return False
    return True


def broken(step: Step, limits: Limits) -> list[Break]:
    """Say what a step broke."""
    found = []
    if why := _champion(step, limits):
        found.append(Break(CHAMPION, why))
    if step.before is not None and step.after is not None:
        found += _behind_it(step.before, step.after)
    return found


def lane_pace(name: str, looks: Sequence[Look]) -> float | None:
    """Return how many requests a second a lane gets through while some wait; None where hardly any ever did.

    It commits some hundreds at once, so only what it did over many looks says anything.
    """
    dealt = seconds = 0.0
    for one, other in pairwise(looks):
        if name not in one.lanes or name not in other.lanes:
            continue
        if one.stands_still or other.stands_still:
            continue
        before, after = one.lanes[name], other.lanes[name]
        if min(before.pending, after.pending) >= WAITS:
            dealt += after.dealt - before.dealt
            seconds += other.at_s - one.at_s
    return dealt / seconds if seconds >= LEAST_BEHIND_S else None


def _champion(step: Step, limits: Limits) -> str | None:
    tally = step.tally
    if not tally.sent:
        return "nothing was answered"
    if tally.errors > MOST_ERRORS * tally.sent:
        kinds = {f"status {status}": n for status, n in tally.statuses.items() if status >= 429}
        worst = max((kinds | dict(tally.lost)).items(), key=lambda one: one[1])
        return f"{tally.errors} of {tally.sent} requests failed, mostly by {worst[0]}"
    if not tally.answered:
        return "no request was answered with 200"
    grown = _growth(step)
    if grown is not None:
        return f"answers took longer and longer: {grown[0] * 1e3:.0f} ms, then {grown[1] * 1e3:.0f} ms (medians)"
    if step.p99_ms > limits.p99_ms:
        return f"p99 {step.p99_ms:.0f} ms is above {limits.p99_ms:g} ms"
    return None


def _growth(step: Step) -> tuple[float, float] | None:
    """Return how long answers took in the first and in the last quarter, where that shows a queue that grows."""
    order = np.argsort(step.tally.due_s(), kind="stable")
    took = step.tally.took_s()[order]
    quarter = len(took) // 4
    if quarter < LEAST_JUDGED:
        return None
    first, last = (float(np.median(part)) for part in (took[:quarter], took[-quarter:]))
    return (first, last) if last > GROWS * first and last - first > GROWS_S else None


def _behind_it(before: Look, after: Look) -> list[Break]:
    found = []
    if after.append_failed > before.append_failed:
        n = after.append_failed - before.append_failed
        found.append(Break(JOURNAL, f"{n} answers could not be recorded"))
    if after.dropped > before.dropped:
        n = after.dropped - before.dropped
        found.append(Break(JOURNAL, f"its budget deleted {n} requests unread"))
    return found
