"""Findings on time: the slow step by name, the version as a whole, and whether it can keep up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from shadowserve.findings.finding import Effect, Finding, Severity, Where, number, share
from shadowserve.growth import Growth
from shadowserve.known import Known
from shadowserve.lane.learned import Learned
from shadowserve.lane.timing import RoleTiming, StepTiming
from shadowserve.policy import Policy
from shadowserve.ratio import PairedRatio

MIN_TIMED = 30
MIN_STEP_MS = 2.0
MIN_STEP_SHARE = 0.5
CLEARLY_SLOWER = 0.5
HEADROOM = 0.9
CRITICAL_TAIL_MS = 100.0


def look(known: Known, policy: Policy) -> Iterator[Finding]:
    """Yield what the times show."""
    if known.learned is None:
        return
    for part in (_growing, _constant, _whole, _capacity):
        yield from part(known, known.learned, policy)


def baseline(known: Known, name: str, timing: StepTiming) -> tuple[StepTiming | None, str]:
    """Return the step to compare with: the control's of that name or columns, else the champion's."""
    for role, theirs in (
        ("control", known.control and known.control.lane),
        ("champion", known.learned and known.learned.champion),
    ):
        found = _match(theirs, name, timing) if theirs else None
        if found is not None and found.spent.n >= MIN_TIMED:
            return found, role
    return None, "control"


def _match(theirs: RoleTiming, name: str, timing: StepTiming) -> StepTiming | None:
    if name in theirs.steps:
        return theirs.steps[name]
    same = [
        step for step in theirs.steps.values() if timing.columns and step.columns == timing.columns
    ]
    return same[0] if len(same) == 1 else None


def _growing(known: Known, learned: Learned, _policy: Policy) -> Iterator[Finding]:
    """Yield steps whose cost grows faster than their input, or far beyond the control's."""
    for name, timing in learned.lane.steps.items():
        if _has_parts(learned.lane.steps, name):
            continue
        fits = {column: fit.fit() for column, fit in timing.growth.items()}
        fitted = {
            column: growth
            for column, growth in fits.items()
            if growth is not None and growth.superlinear
        }
        if not fitted:
            continue
        column = max(fitted, key=lambda c: float(fitted[c].predict(fitted[c].largest_size)))
        growth = fitted[column]
        theirs, role = baseline(known, name, timing)
        yield _growth_finding(learned, name, timing, column, growth, theirs, role)


def _has_parts(steps: Mapping[str, StepTiming], name: str) -> bool:
    """Whether the model's author named parts of this step, which then say it better."""
    return any(other.startswith(f"{name}/") for other in steps)


def _growth_finding(
    learned: Learned,
    name: str,
    timing: StepTiming,
    column: str,
    growth: Growth,
    theirs: StepTiming | None,
    role: str,
) -> Finding:
    p99, worst = growth.tail(learned.sizes[column])
    usual = timing.wall.quantile(0.5)
    base = theirs.wall.quantile(0.99) if theirs is not None else None
    beside = f"; the {role}'s takes {number(base)} ms there" if base is not None else ""
    largest = [row for row in learned.slowest.rows() if row["payload"]["step"] in (name, None)][:5]
    return Finding(
        kind="slow_feature",
        severity=Severity.CRITICAL if worst >= CRITICAL_TAIL_MS else Severity.WARNING,
        message=(
            f"Step '{name}' gets slow on long inputs: its time grows with the length of '{column}' to the "
            f"power of {growth.exponent:.1f}. Usually {number(usual)} ms, it takes {number(p99)} ms for one request "
            f"in a hundred and {number(worst)} ms for the longest seen ({growth.largest_size:,.0f} "
            f"characters or items){beside}. Bound the input or change the step before switching."
        ),
        where=Where(step=name, columns=(column,)),
        effect=Effect(
            "exponent",
            growth.exponent,
            growth.low,
            growth.high,
            "power of size",
            _exponent(theirs, column),
            role,
        ),
        examples=tuple(row["position"] for row in largest),
    )


def _exponent(theirs: StepTiming | None, column: str) -> float | None:
    """Return the growth of the step that is compared with, where its sizes tell it."""
    fit = theirs.growth.get(column) if theirs is not None else None
    growth = fit.fit() if fit is not None else None
    return growth.exponent if growth is not None and growth.grows else None


def _constant(known: Known, learned: Learned, policy: Policy) -> Iterator[Finding]:
    """Yield steps that cost more on every call, whatever comes in."""
    usual = _usual_ms(known, learned)
    for index, (name, timing) in enumerate(learned.lane.steps.items()):
        if timing.spent.n < MIN_TIMED or _has_parts(learned.lane.steps, name):
            continue
        median = timing.wall.quantile(0.5)
        theirs, role = baseline(known, name, timing)
        base = theirs.wall.quantile(0.5) if theirs is not None else 0.0
        more = median - base
        if more < max(MIN_STEP_MS, MIN_STEP_SHARE * usual):
            continue
        if theirs is not None and not _proven_slower(known, index, name, policy):
            continue
        cost = timing.calls.fit()
        fixed = cost.fixed_ms if cost is not None else median
        yield Finding(
            kind="slow_feature",
            severity=Severity.CRITICAL if more > usual else Severity.WARNING,
            message=(
                f"Step '{name}' costs {number(median)} ms on every call, "
                + (
                    f"{number(base)} ms in the {role}"
                    if theirs is not None
                    else "and the champion has no such step"
                )
                + f"; {number(fixed)} ms of it whatever the rows. The whole champion takes {number(usual)} ms. "
                "Cache what it looks up, or move it off the request."
            ),
            where=Where(step=name, columns=timing.columns),
            effect=Effect("median", median, None, None, "ms", base, role),
            examples=tuple(row["position"] for row in learned.slowest.rows()[:5]),
        )


def _usual_ms(known: Known, learned: Learned) -> float:
    """Return the control's median, else the champion's; what a request usually takes."""
    for timing in (known.control.lane if known.control else None, learned.champion):
        if timing is not None and timing.total.spent.n >= MIN_TIMED:
            return timing.total.wall.quantile(0.5)
    return 0.0


def _proven_slower(known: Known, index: int, name: str, policy: Policy) -> bool:
    """Whether a step is slower than the control's on the same requests, by half at least.

    Without pairs (another plan in the control, or too few bursts) the medians alone have to do.
    """
    if known.control is None or name not in known.control.lane.steps:
        return True
    at = list(known.control.lane.steps).index(name)
    pairs = [
        (p.control_steps[at], p.challenger_steps[index])
        for p in known.pairs
        if p.challenger_ms
        and p.control_ms
        and at < len(p.control_steps)
        and index < len(p.challenger_steps)
    ]
    ratio = PairedRatio(burst=4, warm_up=0)
    ratio.add(np.asarray([a for a, _ in pairs]), np.asarray([b for _, b in pairs]))
    return ratio.is_slower(margin=CLEARLY_SLOWER, alpha=policy.alarm_alpha)


def _whole(known: Known, _learned: Learned, policy: Policy) -> Iterator[Finding]:
    """Yield a version that is slower as a whole, paired request by request with the control."""
    if not known.ratio.is_slower(margin=policy.latency_margin, alpha=policy.alarm_alpha):
        return
    found = known.ratio.interval(policy.alarm_alpha)
    yield Finding(
        kind="latency",
        severity=Severity.WARNING,
        message=(
            f"{known.name} takes {number(found.ratio)} times as long as the champion on the same requests "
            f"(between {number(found.low)} and {number(found.high)}). See which step it is below."
        ),
        effect=Effect("paired_ratio", found.ratio, found.low, found.high, "times", 1.0, "control"),
    )


def _capacity(known: Known, learned: Learned, _policy: Policy) -> Iterator[Finding]:
    """Yield a version that one process could not serve at the rate that the traffic came at."""
    seconds = (learned.last_arrival_ns - learned.first_arrival_ns) / 1e9
    if learned.busy_ms.n < MIN_TIMED or seconds < 1.0:
        return
    mean_ms = float(learned.busy_ms.summary()["mean"])
    theirs = known.control.busy_ms if known.control else None
    control_ms = (
        float(theirs.summary()["mean"]) if theirs is not None and theirs.n >= MIN_TIMED else 0.0
    )
    traffic = learned.requests / seconds
    sustainable = 1e3 / mean_ms
    if traffic < HEADROOM * sustainable or mean_ms < 1.25 * control_ms:
        return
    needed, peak = (int(np.ceil(times * traffic / (HEADROOM * sustainable))) for times in (1, 2))
    yield Finding(
        kind="capacity",
        severity=Severity.WARNING,
        message=(
            f"One process of {known.name} serves about {number(sustainable)} requests a second; "
            f"{number(traffic)} came. It needs {needed} processes for this traffic and {peak} for twice of it"
            + (
                f" ({share(mean_ms / control_ms - 1)} more time per request than the champion)."
                if control_ms
                else "."
            )
        ),
        effect=Effect(
            "sustainable_rate", sustainable, None, None, "requests/s", traffic, "traffic"
        ),
    )
