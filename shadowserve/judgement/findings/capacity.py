"""A version that one process could not serve at the rate that the traffic came at."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings.finding import Effect, Finding, Severity
from shadowserve.judgement.findings.kind import FindingKind, Needs, finds
from shadowserve.judgement.findings.latency import SLOW_PROCESS
from shadowserve.legible import number, share
from shadowserve.settings.policy import ALARM_SHARE, Policy

CAPACITY = FindingKind(
    "capacity",
    fires="One process of the challenger could hardly serve the traffic that came.",
    share=ALARM_SHARE,  # set aside: today's is a threshold
)

MIN_TIMED = 30
"""Requests before a mean is trusted: one slow request among fewer decides it alone."""
HEADROOM = 0.9
"""Share of its time that a process may be busy: beyond it, queues grow faster than the load."""
CLEARLY_MORE = 0.25
"""By how much it must take more than the control: a champion that is as slow is served all the same."""


@finds(CAPACITY, needs=Needs.LEARNED)
def look(known: Facts, _policy: Policy) -> Iterator[Finding]:
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
    # The mean and not the median: it is the sum of all work that has to fit into a second.
    mean_ms = float(learned.busy_ms.summary()["mean"])
    traffic = learned.met / seconds
    sustainable = 1e3 / mean_ms
    if traffic < HEADROOM * sustainable:
        return
    # Traffic that is not of today is planned for at twice of it, as people plan for peaks.
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
            "sustainable_rate",
            sustainable,
            None,
            None,
            "requests/s",
            traffic,
            "traffic",
            less_is_worse=True,
        ),
    )
