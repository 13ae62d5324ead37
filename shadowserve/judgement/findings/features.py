"""Slow featurization by name: steps that get slow on long inputs, on every call, or now and then.

The estimator is a step as well. What a step costs is compared with the control's step that does the same
work, else with the champion's steps at that place (`yardstick`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from shadowserve.comparison.learned import Learned
from shadowserve.comparison.timing import StepTiming, outermost
from shadowserve.judgement.facts import Facts, bursts
from shadowserve.judgement.findings.finding import Effect, Finding, Severity, Where
from shadowserve.judgement.findings.kind import FindingKind, Needs, finds
from shadowserve.judgement.findings.yardstick import (
    Yardstick,
    is_timed,
    ways_apart,
    whole_more_at,
    whole_more_ms,
    yardstick,
    yardsticks,
)
from shadowserve.legible import number, share
from shadowserve.records import sequence_of
from shadowserve.settings.policy import ALARM_SHARE, Policy
from shadowserve.statistics.growth import Growth
from shadowserve.statistics.paired import slower
from shadowserve.statistics.sequential import two_rates

SLOW_FEATURE = FindingKind(
    "slow_feature",
    fires="A step gets slow on long inputs, on every call, now and then, or for a value.",
    share=ALARM_SHARE,
)

MIN_TIMED = 30
MIN_STEP_MS = 2.0
MIN_STEP_SHARE = 0.5
CLEARLY_SLOWER = 0.5
CRITICAL_TAIL_MS = 100.0
MATERIAL_MS = 5.0
TWICE = 2.0
BEYOND_TAIL = 1.5
N_LIMITS = 8
FEWEST_SLOW = 5
STRETCHES, STRETCH, FEWEST_STRETCHES = 8, 50, 3
OVER = 0.01
GROWS_FROM = 0.3
IN_THE_WHOLE = 0.5
"""No step is slower than the whole is: that share of what a step is accused of must show in it."""


@finds(SLOW_FEATURE, needs=Needs.LEARNED)
def look(known: Facts, policy: Policy) -> Iterator[Finding]:
    """Yield the slow steps, each once and by what explains it best.

    Nothing is slow before it is known how long the champion takes: on its first requests, which come
    together and share calls, nobody has timed it alone.
    """
    if not is_timed(known):
        return
    learned = known.seen
    for name, timing in learned.lane.steps.items():
        if timing.spent.n < MIN_TIMED or _has_parts(learned.lane.steps, name):
            continue
        step = _Step(known, learned, name, timing, yardstick(known, learned, name))
        for part in (_growing, _constant, _for_a_value, _sometimes):
            if (found := part(step, policy)) is not None:
                yield found
                break


def _has_parts(steps: Mapping[str, StepTiming], name: str) -> bool:
    """Whether the model's author named parts of this step, which then say it better."""
    return any(other.startswith(f"{name}/") for other in steps)


@dataclass(frozen=True, slots=True)
class _Step:
    """One step of the challenger beside what it is compared with."""

    known: Facts
    learned: Learned
    name: str
    timing: StepTiming
    theirs: Yardstick

    @property
    def role(self) -> str:
        """Whose times the step is compared with."""
        return self.theirs.role

    def usual_ms(self) -> float:
        """Return the control's median, else the champion's; what a request usually takes."""
        for _, timing in yardsticks(self.known):
            if timing.total.spent.n >= MIN_TIMED:
                return timing.total.wall.quantile(0.5)
        return 0.0

    def slowest(self) -> tuple[int, ...]:
        """Positions of the slowest requests in which this step took most of the time."""
        rows = self.learned.slowest.rows()
        return tuple(r["position"] for r in rows if r["payload"]["step"] in (self.name, None))[:5]


def _growing(step: _Step, policy: Policy) -> Finding | None:
    """Name a step that costs far more on large inputs than on usual ones.

    Faster than the size of its input is a fault by itself; in proportion to it is one where the step
    that is compared with does not do the same.
    """
    del policy
    fits = {column: fit.fit() for column, fit in step.timing.growth.items()}
    growing = {
        column: growth
        for column, growth in fits.items()
        if growth is not None
        and (growth.superlinear or _grows_beyond(step, column, growth))
        and _keeps_coming(step, max(MATERIAL_MS, TWICE * float(growth.predict(growth.median_size))))
    }
    if not growing:
        return None
    column = max(growing, key=lambda c: float(growing[c].predict(growing[c].largest_size)))
    return _growth_finding(step, column, growing[column])


def _grows_beyond(step: _Step, column: str, growth: Growth) -> bool:
    """Whether the largest inputs cost much, and at least twice what they cost the champion."""
    if not growth.grows or growth.low <= GROWS_FROM:
        return False
    worst = float(growth.predict(growth.largest_size))
    return worst > TWICE * step.theirs.at(column, growth.largest_size) + MATERIAL_MS


def _shows_in_the_whole(step: _Step, column: str, growth: Growth) -> bool:
    """Whether the whole is slower at the largest inputs, by half of what the step is: or it is not slow."""
    size = growth.largest_size
    more = float(growth.predict(size)) - step.theirs.at(column, size)
    return whole_more_at(step.known, step.learned, column, size) >= IN_THE_WHOLE * more


def _growth_finding(step: _Step, column: str, growth: Growth) -> Finding:
    p99, worst = growth.tail(step.learned.sizes[column])
    theirs = step.theirs.at(column, growth.largest_size)
    known_growth = bool(step.theirs) and theirs > worst / BEYOND_TAIL
    critical = worst >= CRITICAL_TAIL_MS
    if known_growth:
        severity = Severity.NOTE
        advice = f"The {step.role}'s step does the same ({number(theirs)} ms there)."
    else:
        slow = _shows_in_the_whole(step, column, growth)
        severity = Severity.CRITICAL if critical else Severity.WARNING
        severity = severity if slow else Severity.NOTE
        beside = f"; {step.theirs.says()} take {number(theirs)} ms there" if step.theirs else ""
        advice = (
            f"Bound the input or change the step before switching{beside}."
            if slow
            else "The whole version is no slower there than the champion."
        )
    usual = step.timing.wall.quantile(0.5)
    return Finding(
        kind=SLOW_FEATURE.told,
        severity=severity,
        message=(
            f"Step '{step.name}' gets slow on long inputs: its time grows with the length of '{column}' to the "
            f"power of {growth.exponent:.1f}. Usually {number(usual)} ms, it takes {number(p99)} ms for one request "
            f"in a hundred and {number(worst)} ms for the longest seen ({growth.largest_size:,.0f} "
            f"characters or items). {advice}"
        ),
        where=Where(step=step.name, columns=(column,)),
        effect=Effect(
            "exponent",
            growth.exponent,
            growth.low,
            growth.high,
            "power of size",
            step.theirs.exponent(column),
            step.role,
        ),
        examples=step.slowest(),
    )


def _constant(step: _Step, policy: Policy) -> Finding | None:
    """Name a step that costs more on every call, whatever comes in."""
    usual = step.usual_ms()
    median = step.timing.wall.quantile(0.5)
    base = step.theirs.median_ms
    more = median - base
    least = max(MIN_STEP_MS, MIN_STEP_SHARE * usual)
    if more < least or not _keeps_coming(step, base + least):
        return None
    if whole_more_ms(step.known, step.learned) < IN_THE_WHOLE * more:
        return None
    if step.theirs.kind == "same" and not _proven_slower(step.known, step.name, policy):
        return None
    cost = step.timing.calls.fit()
    fixed = cost.fixed_ms if cost is not None else median
    return Finding(
        kind=SLOW_FEATURE.told,
        severity=Severity.CRITICAL if more > usual else Severity.WARNING,
        message=(
            f"Step '{step.name}' costs {number(median)} ms on every call, "
            + (
                f"{step.theirs.says()} {number(base)} ms"
                if step.theirs
                else "and the champion has no such step"
            )
            + f"; {number(fixed)} ms of it whatever the rows. The whole champion takes {number(usual)} ms. "
            f"Cache what it looks up, or move it off the request.{ways_apart(step.known)}"
        ),
        where=Where(step=step.name, columns=step.timing.columns),
        effect=Effect("median", median, None, None, "ms", base, step.role),
        examples=tuple(row["position"] for row in step.learned.slowest.rows()[:5]),
    )


def _proven_slower(known: Facts, name: str, policy: Policy) -> bool:
    """Whether a step is slower than the control's on the same requests, by half at least.

    Without pairs (another plan in the control, or too few bursts) the medians alone have to do.
    """
    learned = known.seen
    if known.control is None or name not in known.control.lane.steps:
        return True
    at = list(known.control.lane.steps).index(name)
    index = list(learned.lane.steps).index(name)
    levels = []
    for burst in bursts(known.pairs):
        both = [
            (pair.control_steps[at], pair.challenger_steps[index])
            for pair in burst
            if at < len(pair.control_steps) and index < len(pair.challenger_steps)
        ]
        logs = [np.log(own / theirs) for theirs, own in both if own > 0 and theirs > 0]
        levels += [float(np.median(logs))] if logs else []
    return slower(levels, limit=np.log1p(CLEARLY_SLOWER), alpha=_alpha(learned, policy))


def _alpha(learned: Learned, policy: Policy) -> float:
    """Return what one test of one step may spend: each step is tested in two ways."""
    return SLOW_FEATURE.alpha(policy) / (2 * max(1, len(learned.lane.steps)))


def _sometimes(step: _Step, policy: Policy) -> Finding | None:
    """Name a step that by itself takes as long as the whole champion does far more rarely.

    Neither the median nor the size of an input shows a look-up that misses its cache on one request
    in twenty, or a branch that is taken for one category. Of several times, alpha shared among them,
    the one that tells most is reported. What the champion answered in a batch counts with the batch's
    time, which is at least its own.
    """
    own, whole = step.timing.wall, step.learned.champion_work
    least_ms = max(MATERIAL_MS, TWICE * step.usual_ms())
    if whole.n < MIN_TIMED:
        return None
    evidence = {}
    for limit_ms in (least_ms * 2.0**k for k in range(N_LIMITS)):
        slow, usual = 1 - own.rank(limit_ms), 1 - whole.rank(limit_ms)
        n, n_usual = own.n_effective, whole.n_effective
        if slow > TWICE * max(usual, _in_the_control(step, limit_ms)) and slow * n >= FEWEST_SLOW:
            evidence[limit_ms] = float(two_rates(n, slow * n, n_usual, usual * n_usual))
    limit_ms = max(evidence, key=evidence.__getitem__, default=0.0)
    if not evidence or evidence[limit_ms] < np.log(N_LIMITS / _alpha(step.learned, policy)):
        return None
    if not _keeps_coming(step, limit_ms):
        return None
    slow, usual = 1 - own.rank(limit_ms), 1 - whole.rank(limit_ms)
    tail = own.quantile(1 - slow / 2)
    return Finding(
        kind=SLOW_FEATURE.told,
        severity=Severity.CRITICAL if tail >= CRITICAL_TAIL_MS else Severity.WARNING,
        message=(
            f"Step '{step.name}' is slow now and then: in {share(slow)} of requests it alone takes more than "
            f"{number(limit_ms)} ms, half of these times more than {number(tail)} ms; the whole champion takes "
            f"that long in {share(usual)}. Usually the step takes {number(own.quantile(0.5))} ms. Look at what "
            "the requests below have in common: a category, a missing value, a cache that did not have them."
        ),
        where=Where(step=step.name, columns=step.timing.columns),
        effect=Effect("share_slow", slow, None, None, "of requests", usual, "champion"),
        examples=step.slowest(),
    )


def _in_the_control(step: _Step, limit_ms: float) -> float:
    """Return in which share of its requests the whole control takes longer than that."""
    control = step.known.control
    if control is None or control.lane.total.spent.n < MIN_TIMED:
        return 0.0
    return 1 - control.lane.total.wall.rank(limit_ms)


def _for_a_value(step: _Step, policy: Policy) -> Finding | None:
    """Name the value of a column for which a step is slow, where the champion is not for it.

    The whole request counts; the step is the one in which dear requests took most of their time.
    """
    dear = step.learned.dear
    most = max(dear.steps, key=lambda name: dear.steps[name], default=None)
    if dear.slices is None or dear.limit_ms is None or most != _outer(step):
        return None
    if not _keeps_coming(step, MATERIAL_MS):
        return None
    found = dear.slices.findings(_alpha(step.learned, policy), show=policy.shown(dear.slices.names))
    told = next((one for one in found if one.rate > CLEARLY_SLOWER), None)
    if told is None:
        return None
    tail = step.timing.wall.quantile(1 - max(1e-3, told.share * told.rate / 2))
    usual = step.timing.wall.quantile(0.5)
    return Finding(
        kind=SLOW_FEATURE.told,
        severity=Severity.CRITICAL if tail >= CRITICAL_TAIL_MS else Severity.WARNING,
        message=(
            f"Step '{step.name}' is slow where {told.describe} ({share(told.share)} of traffic): "
            f"{share(told.rate)} of these requests take more than {number(dear.limit_ms)} ms and twice what "
            f"the champion took for them, {share(told.rate_outside)} of the others do. There it usually "
            f"takes {number(tail)} ms, over all requests {number(usual)} ms. Look at what the step does for "
            f"that value.{ways_apart(step.known)}"
        ),
        where=Where(step=step.name, columns=tuple(map(str, told.columns)), slice=told.describe),
        effect=Effect(
            "share_slow_there",
            told.rate,
            told.low,
            told.high,
            "of requests",
            told.rate_outside,
            "challenger",
        ),
        examples=step.slowest(),
    )


def _outer(step: _Step) -> str:
    """Return the step of the plan in which a named part lies; the step itself if it is none."""
    names = outermost(step.learned.lane.steps)
    return next((one for one in names if f"{step.name}/".startswith(f"{one}/")), step.name)


def _keeps_coming(step: _Step, limit_ms: float) -> bool:
    """Whether slow calls lie in several stretches of the traffic: a cold cache is slow in one.

    The latest timings of each size are kept: where a time of slowness has passed, it lives on in the
    sizes that are rare, and would look like growth.
    """
    learned = step.learned
    slow = [
        _number(step.known, row["position"])
        for row in learned.slowest.rows()
        if row["payload"]["step"] == step.name and row["payload"]["step_ms"] > limit_ms
    ]
    length = max(STRETCH, learned.requests // STRETCHES)
    if len({position // length for position in slow}) < FEWEST_STRETCHES:
        return False
    # Early on a cold beginning may reach over three short stretches. Were it not over, the last of so
    # many slow calls would hardly lie so far back.
    beginning = length == STRETCH and max(slow) < learned.requests
    return not beginning or (max(slow) / learned.requests) ** len(slow) >= OVER


def _number(known: Facts, position: int) -> int:
    """Return which request a position is, whichever worker answered it."""
    moment = known.moment(position)
    return sequence_of(position) if moment is None else moment.number
