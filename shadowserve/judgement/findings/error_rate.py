"""Errors: of the challenger where the champion answered, and of the champion itself."""

from __future__ import annotations

from collections.abc import Iterator

from shadowserve.comparison.lasting import ERROR
from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings.finding import Effect, Finding, Severity, Where
from shadowserve.judgement.findings.kind import FindingKind, Needs, finds
from shadowserve.judgement.findings.standing import MOST, PARTS, standing
from shadowserve.legible import share
from shadowserve.settings.policy import ALARM_SHARE, Policy

ERROR_RATE = FindingKind(
    "error_rate",
    fires="The challenger fails where the champion answered, or the champion itself fails.",
    share=ALARM_SHARE,
)


@finds(ERROR_RATE, needs=Needs.LEARNED)
def look(known: Facts, policy: Policy) -> Iterator[Finding]:
    """Yield a challenger that fails where the champion answered."""
    learned, failures, more = known.seen, known.seen.failures, known.seen.failures.more
    # The count on which only the challenger failed is exact; the mean could hide it behind the
    # champion's.
    if not any(one.n for one in failures.faults) or more.ends[1] < policy.min_examples:
        return
    alpha = ERROR_RATE.alpha(policy) / PARTS
    stands = standing(known, learned, ERROR, policy, alpha=ERROR_RATE.alpha(policy))
    low, high = more.interval(alpha)
    if not stands.is_proven and more.mean <= 0:
        return
    # One finding for all faults: the commonest leads to the cause, the report's table has the
    # others.
    most = max(failures.faults, key=lambda one: one.n)
    fault = most.fault
    step_columns = (
        learned.lane.steps[fault.step].columns if fault.step in learned.lane.steps else ()
    )
    # A fault names a column at best; which of its values fail is known by the slices alone.
    slices = (
        failures.slices.findings(alpha, show=policy.shown(failures.slices.names))
        if failures.slices
        else []
    )
    columns = (
        (fault.column,)
        if fault.column
        else tuple(map(str, slices[0].columns))
        if slices
        else step_columns
    )
    at = f" in step '{fault.step}'" if fault.step else ""
    which = f", where {slices[0].describe}" if slices else ""
    then = " After a switch callers would get these as errors." if stands.is_proven else ""
    yield Finding(
        kind=ERROR_RATE.told,
        severity=stands.severity(more, policy, alpha=alpha),
        message=(
            f"{known.name} fails on {share(failures.rate.mean)} of requests, the champion on "
            f"{share(failures.champion_rate.mean)}. Most often {fault.type}{at} ({fault.frame}){which}. "
            f"{stands.says}{then}"
        ),
        where=Where(step=fault.step, columns=columns, slice=slices[0].describe if slices else None),
        effect=Effect(
            "excess_error_rate",
            more.mean,
            low,
            high,
            "share of requests",
            failures.champion_rate.mean,
            "champion",
        ),
        since=most.examples[0] if most.examples else None,
        examples=tuple(most.examples),
        explained=True,
    )


@finds(ERROR_RATE, needs=Needs.LEARNED)
def of_champion(known: Facts, policy: Policy) -> Iterator[Finding]:
    """Yield a champion that itself fails: callers get errors now."""
    rate = known.seen.failures.champion_rate
    alpha = ERROR_RATE.alpha(policy)
    if rate.ends[1] < policy.min_examples or not rate.is_above(policy.max_error_rate, alpha=alpha):
        return
    # Two-sided at twice alpha is one-sided at alpha, which is the end that was tested.
    low, high = rate.interval(2 * alpha)
    name = known.champion.pin.label
    yield Finding(
        kind=ERROR_RATE.told,
        severity=Severity.WARNING if low > MOST else Severity.NOTE,
        message=(
            f"The champion {name} itself fails on {share(rate.mean)} of requests: callers get errors now, and "
            f"these requests cannot be compared. Look at the champion before judging {known.name}."
        ),
        where=Where(role="champion"),
        effect=Effect("error_rate", rate.mean, low, high, "share of requests"),
    )
