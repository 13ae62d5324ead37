"""The ways in which a step is slow, each looked for in turn: growing, constant, for a value, now and then.

The estimator is a step as well. What a step costs is compared with the control's step that does the same
work, else with the champion's steps at that place (`yardstick`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from shadowserve.comparison.timing import StepTiming
from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings.finding import Effect, Finding, Severity, Where
from shadowserve.judgement.findings.kind import Needs, finds
from shadowserve.judgement.findings.slow_feature.growing import growing
from shadowserve.judgement.findings.slow_feature.step import (
    CRITICAL_TAIL_MS,
    IN_THE_WHOLE,
    MATERIAL_MS,
    MIN_TIMED,
    SLOW_FEATURE,
    TWICE,
    Step,
)
from shadowserve.judgement.findings.slow_feature.yardstick import (
    is_timed,
    ways_apart,
    whole_more_ms,
    yardstick,
)
from shadowserve.legible import number, share
from shadowserve.settings.policy import Policy
from shadowserve.statistics.paired import slower
from shadowserve.statistics.sequential import two_rates

MIN_STEP_MS = 2.0
"""The least that a call must cost more, in ms: less is lost in what a server adds to an answer."""
MIN_STEP_SHARE = 0.5
"""And the least beside the whole champion's median: half as much again is what callers would see."""
CLEARLY_SLOWER = 0.5
"""For pairs with the control: half slower. For a value's slices: more than half of its requests are slow."""
N_LIMITS = 8
"""Times tried for a tail, each twice the last: from a few ms to over half a second. More cost alpha."""
FEWEST_SLOW = 5
"""Slow requests that are the least: fewer may be the machine's, however rare they are."""
Way = Callable[[Step, Policy], Finding | None]
"""One way to be slow: a step and the policy to the finding that names it, or None."""


@finds(SLOW_FEATURE, needs=Needs.LEARNED)
def look(known: Facts, policy: Policy) -> Iterator[Finding]:
    """Yield the slow steps, each once and by what explains it best.

    Nothing is slow before it is known how long the champion takes. On its first requests, which come
    together and share calls, nobody has timed it alone; but it took no longer than the calls that it
    shared, and what is slow on every call can be laid beside those.
    """
    learned = known.seen
    ways: tuple[Way, ...] = (growing, _constant, _for_a_value, _sometimes)
    if not is_timed(known):
        # Shared calls bound the champion's time from above, so what costs more than them is slow
        # for sure.
        ways = (_constant,) if learned.champion_work.n >= MIN_TIMED else ()
    for name, timing in learned.lane.steps.items():
        if timing.spent.n < MIN_TIMED or _has_parts(learned.lane.steps, name):
            continue
        step = Step(known, learned, name, timing, yardstick(known, learned, name))
        for way in ways:
            if (found := way(step, policy)) is not None:
                yield found
                break


def _has_parts(steps: Mapping[str, StepTiming], name: str) -> bool:
    """Whether the model's author named parts of this step, which then say it better."""
    return any(other.startswith(f"{name}/") for other in steps)


def _constant(step: Step, policy: Policy) -> Finding | None:
    """Name a step that costs more on every call, whatever comes in."""
    usual = step.usual_ms()
    median = step.timing.wall.quantile(0.5)
    # Nobody has timed the champion yet: the step is laid beside all that the champion did.
    base = step.theirs.median_ms if is_timed(step.known) else usual
    more = median - base
    least = max(MIN_STEP_MS, MIN_STEP_SHARE * usual)
    if more < least or not step.keeps_coming(base + least):
        return None
    if whole_more_ms(step.known, step.learned) < IN_THE_WHOLE * more:
        return None
    # Only the same work can be paired; elsewhere the whole version has just been asked in its
    # place.
    if step.theirs.kind == "same" and not _proven_slower(step, policy):
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


def _proven_slower(step: Step, policy: Policy) -> bool:
    """Whether a step is slower than the control's on the same requests, by half at least.

    Without pairs (another plan in the control, or too few bursts) the medians alone have to do.
    """
    control = step.known.control
    if control is None or step.name not in control.lane.steps:
        return True
    at = list(control.lane.steps).index(step.name)
    index = list(step.learned.lane.steps).index(step.name)
    levels = []
    for burst in step.known.bursts:
        both = [
            (pair.control_steps[at], pair.challenger_steps[index])
            for pair in burst
            if at < len(pair.control_steps) and index < len(pair.challenger_steps)
        ]
        logs = [np.log(own / theirs) for theirs, own in both if own > 0 and theirs > 0]
        # Requests of one burst share a mood of the machine, so a burst is one observation.
        levels += [float(np.median(logs))] if logs else []
    return slower(levels, limit=np.log1p(CLEARLY_SLOWER), alpha=step.alpha(policy))


def _sometimes(step: Step, policy: Policy) -> Finding | None:
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
        # A step alone beside the whole champion: this favours the champion's side only in the safe
        # direction.
        slow, usual = 1 - own.rank(limit_ms), 1 - whole.rank(limit_ms)
        n, n_usual = own.n_effective, whole.n_effective
        if slow > TWICE * max(usual, _in_the_control(step, limit_ms)) and slow * n >= FEWEST_SLOW:
            evidence[limit_ms] = float(two_rates(n, slow * n, n_usual, usual * n_usual))
    limit_ms = max(evidence, key=evidence.__getitem__, default=0.0)
    if not evidence or evidence[limit_ms] < np.log(N_LIMITS / step.alpha(policy)):
        return None
    if not step.keeps_coming(limit_ms):
        return None
    slow, usual = 1 - own.rank(limit_ms), 1 - whole.rank(limit_ms)
    # The middle of the slow part: the largest alone may be one stall of the machine.
    tail = own.quantile(1 - slow / 2)
    return _with_tail(
        step,
        tail,
        message=(
            f"Step '{step.name}' is slow now and then: in {share(slow)} of requests it alone takes more than "
            f"{number(limit_ms)} ms, half of these times more than {number(tail)} ms; the whole champion takes "
            f"that long in {share(usual)}. Usually the step takes {number(own.quantile(0.5))} ms. Look at what "
            "the requests below have in common: a category, a missing value, a cache that did not have them."
        ),
        where=Where(step=step.name, columns=step.timing.columns),
        effect=Effect("share_slow", slow, None, None, "of requests", usual, "champion"),
    )


def _in_the_control(step: Step, limit_ms: float) -> float:
    """Return in which share of its requests the whole control takes longer than that."""
    control = step.known.control
    if control is None or control.lane.total.spent.n < MIN_TIMED:
        return 0.0
    return 1 - control.lane.total.wall.rank(limit_ms)


def _for_a_value(step: Step, policy: Policy) -> Finding | None:
    """Name the value of a column for which a step is slow, where the champion is not for it.

    The whole request counts; the step is the one in which dear requests took most of their time.
    """
    dear = step.learned.dear
    most = max(dear.steps, key=lambda name: dear.steps[name], default=None)
    # A slice belongs to the request; only the step that took most of its time is to blame.
    if dear.slices is None or dear.limit_ms is None or most != step.outer():
        return None
    if not step.keeps_coming(MATERIAL_MS):
        return None
    found = dear.slices.findings(step.alpha(policy), show=policy.shown(dear.slices.names))
    told = next((one for one in found if one.rate > CLEARLY_SLOWER), None)
    if told is None:
        return None
    tail = step.timing.wall.quantile(1 - max(1e-3, told.share * told.rate / 2))
    usual = step.timing.wall.quantile(0.5)
    return _with_tail(
        step,
        tail,
        message=(
            f"Step '{step.name}' is slow where {told.describe} ({share(told.share)} of traffic): "
            f"{share(told.rate)} of these requests take more than {number(dear.limit_ms)} ms and twice what "
            f"the champion took for them, {share(told.rate_outside)} of the others do. There it usually "
            f"takes {number(tail)} ms, over all requests {number(usual)} ms. Look at what the step does for "
            f"that value.{ways_apart(step.known)}"
        ),
        where=Where(
            step=step.name,
            columns=tuple(map(str, told.columns)),
            slice=told.describe,
            conditions=told.keys,
        ),
        effect=Effect(
            "share_slow_there",
            told.rate,
            told.low,
            told.high,
            "of requests",
            told.rate_outside,
            "challenger",
        ),
    )


def _with_tail(
    step: Step, tail_ms: float, *, message: str, where: Where, effect: Effect
) -> Finding:
    """Tell of a step that is slow for some requests: how bad is what those wait, not how many they are."""
    return Finding(
        kind=SLOW_FEATURE.told,
        severity=Severity.CRITICAL if tail_ms >= CRITICAL_TAIL_MS else Severity.WARNING,
        message=message,
        where=where,
        effect=effect,
        examples=step.slowest(),
    )
