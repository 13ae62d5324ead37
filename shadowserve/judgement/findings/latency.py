"""Findings on time: the version as a whole, and whether it can keep up. Steps are in `features`."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

import numpy as np

from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings.finding import Effect, Finding, Severity
from shadowserve.judgement.findings.kind import FindingKind, Needs, finds
from shadowserve.legible import number, share
from shadowserve.settings.policy import ALARM_SHARE, Policy
from shadowserve.statistics.paired import FLOOR_MS, PairedBursts, WaitRatio

LATENCY = FindingKind(
    "latency",
    fires="The whole challenger is proven slower than the control by more than `latency_margin`.",
    share=ALARM_SHARE,
)
CAPACITY = FindingKind(
    "capacity",
    fires="One process of the challenger could hardly serve the traffic that came.",
    share=ALARM_SHARE,  # set aside: today's is a threshold
)

MIN_TIMED = 30
HEADROOM = 0.9
CLEARLY_MORE = 0.25
SLOW_PROCESS = (
    "Its process was slower in this period; restart its lane, or let both take turns, to know whether "
    "the version is."
)


@finds(LATENCY, CAPACITY, needs=Needs.LEARNED)
def look(known: Facts, policy: Policy) -> Iterator[Finding]:
    """Yield what the times show."""
    yield from _whole(known, policy)
    yield from _capacity(known)


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


def _whole(known: Facts, policy: Policy) -> Iterator[Finding]:
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


def _capacity(known: Facts) -> Iterator[Finding]:
    """Yield a version that one process could not serve at the rate that the traffic came at.

    Where there is a control, it must take a quarter more than that on the same requests, and in each
    stretch of time: one request that is slow for both, or for one of them by chance, says nothing.
    """
    learned, seconds = known.seen, known.seen.elapsed.seconds
    if learned.busy_ms.n < MIN_TIMED or seconds < 1.0:
        return
    more = known.paired.takes_more(share=CLEARLY_MORE)
    if more is None and known.deployment.control:
        return
    mean_ms = float(learned.busy_ms.summary()["mean"])
    traffic = learned.requests / seconds
    sustainable = 1e3 / mean_ms
    if traffic < HEADROOM * sustainable:
        return
    needed, peak = (int(np.ceil(times * traffic / (HEADROOM * sustainable))) for times in (1, 2))
    certain = known.in_turn or not known.deployment.control
    yield Finding(
        kind=CAPACITY.told,
        severity=Severity.WARNING if certain else Severity.NOTE,
        message=(
            f"One process of {known.name} serves about {number(sustainable)} requests a second; "
            f"{number(traffic)} came. It needs {needed} processes for this traffic and {peak} for twice of it"
            + (
                f" ({share(more - 1)} more time than the champion on the same requests)."
                if more
                else "."
            )
            + ("" if certain else f" {SLOW_PROCESS}")
        ),
        effect=Effect(
            "sustainable_rate", sustainable, None, None, "requests/s", traffic, "traffic"
        ),
    )
