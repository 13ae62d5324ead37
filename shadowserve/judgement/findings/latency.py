"""A version that is slower as a whole. Steps are in `slow_feature`."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings.finding import Effect, Finding, Severity
from shadowserve.judgement.findings.kind import FindingKind, Needs, finds
from shadowserve.legible import number
from shadowserve.settings.policy import ALARM_SHARE, Policy
from shadowserve.statistics.paired import FLOOR_MS, PairedBursts, WaitRatio

LATENCY = FindingKind(
    "latency",
    fires="The whole challenger is proven slower than the control by more than `latency_margin`.",
    share=ALARM_SHARE,
)
SLOW_PROCESS = (
    "Its process was slower in this period; restart its lane, or let both take turns, to know whether "
    "the version is."
)


def waited(paired: PairedBursts, found: WaitRatio) -> str:
    """Say what callers wait, what is allowed, and what the times were seen beside."""
    beside = paired.beside_ms or 0.0
    lives = f", {len(paired.lives)} pairs of processes" if len(paired.lives) > 1 else ""
    between = (
        f"at most {number(found.high)} times as long"
        if found.low <= 0 or not isfinite(found.low)
        else f"between {number(found.low)} and {number(found.high)} times as long"
    )
    return (
        f"Callers wait {between} as with the champion; {number(1 + paired.margin)} is allowed. That is of "
        f"whole answers: the model's {number(paired.control_ms)} ms and {number(beside)} ms beside it, so that "
        f"{number(FLOOR_MS)} ms is never too slow ({paired.n_bursts} bursts of requests{lives})."
    )


@finds(LATENCY, needs=Needs.LEARNED)
def look(known: Facts, policy: Policy) -> Iterator[Finding]:
    """Yield a version that is slower as a whole, paired burst by burst with the control."""
    paired, alpha = known.paired, LATENCY.alpha(policy)
    if not paired.is_slower(alpha=alpha):
        return
    found = paired.interval(alpha)
    yield Finding(
        kind=LATENCY.told,
        severity=Severity.WARNING if known.in_turn else Severity.NOTE,
        message=(
            f"{known.name} takes {number(found.work)} times as long as the champion on the same requests: "
            f"callers would wait {number(found.ratio)} times as long (between {number(found.low)} and "
            f"{number(found.high)}). "
            + ("See which step it is below." if known.in_turn else SLOW_PROCESS)
        ),
        effect=Effect("paired_ratio", found.ratio, found.low, found.high, "times", 1.0, "control"),
    )
