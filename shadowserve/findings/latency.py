"""Findings on time: the version as a whole, and whether it can keep up. Steps are in `features`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from shadowserve.findings.finding import Effect, Finding, Severity, number, share
from shadowserve.known import Known
from shadowserve.lane.learned import Learned
from shadowserve.policy import Policy

MIN_TIMED = 30
HEADROOM = 0.9


def look(known: Known, policy: Policy) -> Iterator[Finding]:
    """Yield what the times show."""
    if known.learned is None:
        return
    for part in (_whole, _capacity):
        yield from part(known, known.learned, policy)


def _whole(known: Known, _learned: Learned, policy: Policy) -> Iterator[Finding]:
    """Yield a version that is slower as a whole, paired request by request with the control."""
    if not known.ratio.is_slower(margin=policy.latency_margin, alpha=policy.alarm_alpha("latency")):
        return
    found = known.ratio.interval(policy.alarm_alpha("latency"))
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
    seconds = learned.elapsed.seconds
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
