"""Since when: the request from which on the answers lie apart."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from shadowserve.changepoint import Change
from shadowserve.findings.finding import Effect, Finding, Severity, share
from shadowserve.known import Known
from shadowserve.lane.outputs import Outputs
from shadowserve.policy import Policy

ALIKE = 0.5


def look(known: Known, policy: Policy) -> Iterator[Finding]:
    """Yield a lasting change of the disagreement."""
    if known.learned is None or known.learned.outputs.tally is None:
        return
    yield from _change(known, known.learned.outputs, policy)


def _change(known: Known, outputs: Outputs, policy: Policy) -> Iterator[Finding]:
    change = outputs.change.change()
    if change is None or abs(_step(change)) < policy.min_disagreement:
        return
    theirs = known.control.outputs.change.change() if known.control else None
    if theirs is not None and ALIKE * abs(_step(change)) <= _step(theirs) * np.sign(_step(change)):
        return  # the champion changed against itself about as much: it is the traffic
    yield Finding(
        kind="change_point",
        severity=Severity.WARNING,
        message=(
            f"Since request {change.position} {known.name} disagrees by {share(change.after)}, before by "
            f"{share(change.before)}. Something it depends on changed: a feed, a table, a clock?"
        ),
        effect=Effect(
            "disagreement", change.after, None, None, "share", change.before, "challenger"
        ),
        since=change.position,
        examples=(change.position,),
    )


def _step(change: Change) -> float:
    return change.after - change.before
