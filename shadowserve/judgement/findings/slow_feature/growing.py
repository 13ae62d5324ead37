"""A step that gets slow on long inputs: faster than they grow, or as fast where the champion's does not."""

from __future__ import annotations

from shadowserve.judgement.findings.finding import Effect, Finding, Severity, Where
from shadowserve.judgement.findings.slow_feature.step import (
    CRITICAL_TAIL_MS,
    IN_THE_WHOLE,
    MATERIAL_MS,
    SLOW_FEATURE,
    TWICE,
    Step,
)
from shadowserve.judgement.findings.slow_feature.yardstick import whole_more_at
from shadowserve.legible import number
from shadowserve.settings.policy import Policy
from shadowserve.statistics.growth import Growth

BEYOND_TAIL = 1.5
"""The champion's step excuses a growth that costs at most so many times its own time there."""
GROWS_FROM = 0.3
"""Exponent below which a time hardly depends on the size; fixed costs and caches make such slopes."""


def growing(step: Step, policy: Policy) -> Finding | None:
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
        and step.keeps_coming(max(MATERIAL_MS, TWICE * float(growth.predict(growth.median_size))))
    }
    if not growing:
        return None
    # Sizes of columns go together; the one that costs most at its largest is the one to bound.
    column = max(growing, key=lambda c: float(growing[c].predict(growing[c].largest_size)))
    return _growth_finding(step, column, growing[column])


def _grows_beyond(step: Step, column: str, growth: Growth) -> bool:
    """Whether the largest inputs cost much, and at least twice what they cost the champion."""
    if not growth.grows or growth.low <= GROWS_FROM:
        return False
    worst = float(growth.predict(growth.largest_size))
    return worst > TWICE * step.theirs.at(column, growth.largest_size) + MATERIAL_MS


def _shows_in_the_whole(step: Step, column: str, growth: Growth) -> bool:
    """Whether the whole is slower at the largest inputs, by half of what the step is: or it is not slow."""
    size = growth.largest_size
    more = float(growth.predict(size)) - step.theirs.at(column, size)
    return whole_more_at(step.known, step.learned, column, size) >= IN_THE_WHOLE * more


def _growth_finding(step: Step, column: str, growth: Growth) -> Finding:
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
        # No step is slower than the whole is: where the whole is as fast, work has only moved.
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
            tells_harm=False,
        ),
        examples=step.slowest(),
    )
