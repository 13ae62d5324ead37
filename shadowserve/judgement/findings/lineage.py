"""Where a version comes from: the data that it learned from, and whether it has a signature."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings.finding import Effect, Finding, Severity, Where
from shadowserve.judgement.findings.kind import FindingKind, finds
from shadowserve.legible import number
from shadowserve.scorer import parity
from shadowserve.settings.policy import Policy
from shadowserve.versions.lineage import differences
from shadowserve.versions.version import Version

LINEAGE = FindingKind(
    "lineage",
    fires="The versions' training data, its time range, or whether there is a signature, differ.",
)

NARROW = 0.25
"""A quarter of the champion's time range: a season of its year. Above it a shorter range may be meant."""
_DAY_S = 86_400.0


@finds(LINEAGE)
def look(known: Facts, _policy: Policy) -> Iterator[Finding]:
    """Yield what the records of both versions say of their origins."""
    yield from _lineage(known)
    yield from _typing(known)


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
    # Dates that are not recorded prove nothing, so they make no alarm.
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
        effect=Effect(
            "days_of_training_data",
            challenger,
            None,
            None,
            "days",
            champion,
            "champion",
            less_is_worse=True,
        )
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
            aspect="signature",
        )


def _span_days(version: Version) -> float | None:
    known = [(d.since, d.until) for d in version.training_data if d.since and d.until]
    if not known:
        return None
    since = min(datetime.fromisoformat(str(a)) for a, _ in known)
    until = max(datetime.fromisoformat(str(b)) for _, b in known)
    # Data of one day have equal dates; zero days would make every share of them infinite.
    return max((until - since).total_seconds() / _DAY_S, 1.0)
