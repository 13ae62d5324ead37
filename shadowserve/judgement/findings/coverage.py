"""How much of the traffic a challenger has really met."""

from __future__ import annotations

from collections.abc import Iterator

from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings.finding import Effect, Finding, Severity
from shadowserve.judgement.findings.kind import FindingKind, finds
from shadowserve.legible import share
from shadowserve.settings.policy import Policy

COVERAGE = FindingKind(
    "coverage", fires="Much of the traffic was not compared, or brings values that no training had."
)


@finds(COVERAGE)
def look(known: Facts, policy: Policy) -> Iterator[Finding]:
    """Yield a lane that cannot score, or has compared little yet."""
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
                float(lane.own),
                "champion",
                less_is_worse=True,
            ),
        )
        return
    part = compared(known) / lane.own if lane.own else 0.0
    if lane.own >= policy.min_requests and part < 0.5:
        yield Finding(
            kind=COVERAGE.told,
            severity=Severity.NOTE,
            message=(
                f"{known.name} has been compared on {share(part)} of the champion's requests; "
                f"{lane.pending} wait. What is said here holds for those.{_thinned(known)}"
            ),
            effect=Effect(
                "coverage",
                part,
                None,
                None,
                "share of requests",
                1.0,
                "champion",
                less_is_worse=True,
            ),
        )


def _thinned(known: Facts) -> str:
    """Say what was left out while the lane was behind, and what it disagrees on by weight."""
    weighed = known.learned.weighed if known.learned else None
    if weighed is None or not weighed.thinned or not weighed.disagreement.n:
        return ""
    return (
        f" About {weighed.left_out:,.0f} were sampled out evenly while it was behind; weighted by what each "
        f"scored request stands for, it disagrees by {share(weighed.disagreement.mean)}."
    )


def compared(known: Facts) -> int:
    """Return how many requests both versions answered."""
    return known.learned.outputs.disagreement.n if known.learned else 0
