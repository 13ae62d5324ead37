"""Findings on failures: errors, requests that kill, memory that grows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from shadowserve.comparison.lasting import ERROR
from shadowserve.comparison.learned import Learned
from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings.finding import Effect, Finding, Severity, Where, request
from shadowserve.judgement.findings.kind import FindingKind, Needs, finds
from shadowserve.judgement.findings.standing import PARTS, standing
from shadowserve.legible import number, share
from shadowserve.settings.policy import ALARM_SHARE, Policy

ERROR_RATE = FindingKind(
    "error_rate",
    fires="The challenger fails where the champion answered, or the champion itself fails.",
    share=ALARM_SHARE,
)
POISON_REQUEST = FindingKind(
    "poison_request", fires="A request ended the lane's process, or never returned, twice."
)
MEMORY_GROWTH = FindingKind(
    "memory_growth", fires="The challenger keeps memory of every request and does not give it back."
)

MIN_LEAK_BYTES = 20_000
MIN_LEAK_TOTAL = 32 * 2**20
MIN_DROP = 96 * 2**20
MIN_MEMORY_NOTES = 5


@finds(ERROR_RATE, POISON_REQUEST, MEMORY_GROWTH, needs=Needs.LEARNED)
def look(known: Facts, policy: Policy) -> Iterator[Finding]:
    """Yield what failed."""
    yield from _errors(known, known.seen, policy)
    yield from _poison(known, known.seen)
    yield from _memory(known, known.seen)


def _errors(known: Facts, learned: Learned, policy: Policy) -> Iterator[Finding]:
    failures, more = learned.failures, learned.failures.more
    if not any(one.n for one in failures.faults) or more.ends[1] < policy.min_examples:
        return
    alpha = ERROR_RATE.alpha(policy) / PARTS
    stands = standing(known, learned, ERROR, policy, alpha=ERROR_RATE.alpha(policy))
    low, high = more.interval(alpha)
    if not stands.is_proven and more.mean <= 0:
        return
    most = max(failures.faults, key=lambda one: one.n)
    fault = most.fault
    step_columns = (
        learned.lane.steps[fault.step].columns if fault.step in learned.lane.steps else ()
    )
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
    )


def _poison(known: Facts, learned: Learned) -> Iterator[Finding]:
    poison = learned.failures.poison
    if not poison:
        return
    first = poison[0]
    hung = [one for one in poison if one.cause == "deadline"]
    ways = []
    if hung:
        ways.append(
            f"{len(hung)} never returned within the deadline (≥ {number(hung[0].worked_ms)} ms)"
        )
    if len(poison) > len(hung):
        ways.append(
            f"{len(poison) - len(hung)} ended the process ({', '.join(sorted({p.cause for p in poison} - {'deadline'}))})"
        )
    column = max(first.sizes, key=lambda name: first.sizes[name], default=None)
    at = f" in step '{first.step}'" if first.step else ""
    size = f", with '{column}' of size {first.sizes[column]}" if column else ""
    yield Finding(
        kind=POISON_REQUEST.told,
        severity=Severity.CRITICAL,
        message=(
            f"{len(poison)} request{'s' if len(poison) > 1 else ''} {known.name} did not survive, twice each: "
            f"{'; '.join(ways)}. The first is {request(known.moment(first.position))}{at}{size}. "
            "In production each would take a worker down. The report's slow requests begin with them: their ids "
            "tell what to send again to a server of its own."
        ),
        where=Where(step=first.step, columns=(column,) if column else ()),
        effect=Effect("requests", float(len(poison)), None, None, "requests", 0.0, "champion"),
        since=first.position,
        examples=tuple(one.position for one in poison[:10]),
    )


def _memory(known: Facts, learned: Learned) -> Iterator[Finding]:
    slope = growth_per_request(learned.memory)
    if slope is None or slope < MIN_LEAK_BYTES:
        return
    theirs = growth_per_request(known.control.memory) if known.control else None
    if theirs is not None and slope < 3 * theirs:
        return
    yield Finding(
        kind=MEMORY_GROWTH.told,
        severity=Severity.CRITICAL,
        message=(
            f"{known.name} keeps about {number(slope / 1e3)} kB of every request and does not give it back. "
            "In production it would be killed for want of memory."
        ),
        effect=Effect("growth", slope, None, None, "bytes/request", theirs or 0.0, "control"),
    )


def growth_per_request(notes: Sequence[Sequence[int]]) -> float | None:
    """Return bytes of resident memory that each request leaves behind, after the plateau.

    Parameters
    ----------
    notes : sequence of (requests, bytes)
        A process that restarts begins anew, which shows as a large drop. The latest process that
        lived long enough to tell counts, so that one stopped for its growth is not forgotten.

    Returns
    -------
    float or None
        Median slope (Theil and Sen) over the later half; None where that is too short to tell or
        the whole growth is small.
    """
    drops = [i for i in range(1, len(notes)) if notes[i - 1][1] - notes[i][1] > MIN_DROP]
    lives = [notes[i:j] for i, j in zip([0, *drops], [*drops, len(notes)], strict=True)]
    told = (life[len(life) // 3 :] for life in reversed(lives))
    later = next((life for life in told if len(life) >= MIN_MEMORY_NOTES), [])
    if not later or later[-1][1] - later[0][1] < MIN_LEAK_TOTAL:
        return None
    n, used = np.asarray(later, dtype=np.float64).T
    i, j = np.triu_indices(len(later), k=1)
    return float(np.median((used[j] - used[i]) / np.maximum(n[j] - n[i], 1)))
