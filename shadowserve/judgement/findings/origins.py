"""Findings on where a version comes from, and on how much of the traffic it has really met."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings.finding import Effect, Finding, Severity, Where
from shadowserve.judgement.findings.kind import FindingKind, finds
from shadowserve.legible import number, share
from shadowserve.scorer import parity
from shadowserve.settings.policy import Policy
from shadowserve.versions.lineage import differences
from shadowserve.versions.version import Version

LINEAGE = FindingKind(
    "lineage",
    fires="The versions' training data, its time range, or whether there is a signature, differ.",
)
COVERAGE = FindingKind(
    "coverage", fires="Much of the traffic was not compared, or brings values that no training had."
)

NARROW = 0.25
_DAY_S = 86_400.0


@finds(LINEAGE, COVERAGE)
def look(known: Facts, policy: Policy) -> Iterator[Finding]:
    """Yield what the records and the ledger show."""
    yield from _lineage(known)
    yield from _typing(known)
    yield from _coverage(known, policy)


def _lineage(known: Facts) -> Iterator[Finding]:
    apart = [
        d
        for d in differences(known.champion, known.challenger)
        if d.kind in ("training_data", "time_range")
    ]
    if not apart:
        return
    spans = [_span_days(version) for version in (known.champion, known.challenger)]
    champion, challenger = spans
    told = "; ".join(
        f"{d.kind.replace('_', ' ')}: {d.champion or 'unknown'} → {d.challenger or 'unknown'}"
        for d in apart
    )
    narrow = champion is not None and challenger is not None and challenger < NARROW * champion
    days = (
        f"{known.name} learned from {number(challenger)} days of data, the champion from {number(champion)}. "
        if champion is not None and challenger is not None
        else f"{known.name} learned from other data than the champion. "
    )
    yield Finding(
        kind=LINEAGE.told,
        severity=Severity.WARNING if narrow else Severity.INFO,
        message=f"{days}{told}." + (" Was the whole history meant to be in it?" if narrow else ""),
        where=Where(items=tuple(d.kind for d in apart)),
        effect=Effect("days_of_training_data", challenger, None, None, "days", champion, "champion")
        if challenger is not None
        else None,
    )


def _typing(known: Facts) -> Iterator[Finding]:
    """Say that one of the two has no signature, whatever the traffic shows."""
    if told := parity.said(known.champion, known.challenger):
        yield Finding(
            kind=LINEAGE.told,
            severity=Severity.NOTE,
            message=f"{told}.",
            where=Where(items=("signature",)),
        )


def _span_days(version: Version) -> float | None:
    known = [(d.since, d.until) for d in version.training_data if d.since and d.until]
    if not known:
        return None
    since = min(datetime.fromisoformat(str(a)) for a, _ in known)
    until = max(datetime.fromisoformat(str(b)) for _, b in known)
    return max((until - since).total_seconds() / _DAY_S, 1.0)


def _coverage(known: Facts, policy: Policy) -> Iterator[Finding]:
    lane = known.lane
    if lane.state in ("degraded", "incompatible"):
        yield Finding(
            kind=COVERAGE.told,
            severity=Severity.CRITICAL if lane.state == "incompatible" else Severity.WARNING,
            message=f"{known.name} is {lane.state}: {lane.reason}. Nothing can be said of it until that is mended.",
            effect=Effect(
                "compared",
                float(compared(known)),
                None,
                None,
                "requests",
                float(lane.total),
                "champion",
            ),
        )
        return
    part = compared(known) / lane.total if lane.total else 0.0
    if lane.total >= policy.min_requests and part < 0.5:
        yield Finding(
            kind=COVERAGE.told,
            severity=Severity.NOTE,
            message=(
                f"{known.name} has been compared on {share(part)} of the champion's requests; "
                f"{lane.pending} wait. What is said here holds for those."
            ),
            effect=Effect("coverage", part, None, None, "share of requests", 1.0, "champion"),
        )


def compared(known: Facts) -> int:
    """Return how many requests both versions answered."""
    return known.learned.outputs.disagreement.n if known.learned else 0
