"""Probabilities that have moved, which may hide behind equal labels."""

from __future__ import annotations

from collections.abc import Iterator

from shadowserve.findings.finding import Effect, Finding, Severity, Where, number, share
from shadowserve.findings.labelled import weighed
from shadowserve.known import Known
from shadowserve.lane.outputs import Outputs
from shadowserve.policy import Policy
from shadowserve.sequential import paired_mean

SCORE_CLIP = 0.25
MIN_SHIFT = 0.02


def look(known: Known, policy: Policy) -> Iterator[Finding]:
    """Yield what has become of the scores behind the answers."""
    if known.learned is None or known.learned.outputs.tally is None:
        return
    yield from _shift(known, known.learned.outputs, policy)


def _shift(known: Known, outputs: Outputs, policy: Policy) -> Iterator[Finding]:
    """Yield a shift of the probabilities, which may hide behind equal labels."""
    apart = known.score_differences()
    if not apart.size:
        return
    classes = apart.shape[1]
    for column in [1] if classes == 2 else range(classes):
        shift = paired_mean(SCORE_CLIP)
        shift.add(apart[:, column])
        low, high = shift.interval(
            policy.alarm_alpha("score_shift") / (1 if classes == 2 else classes)
        )
        least = max(low, -high)
        if least > MIN_SHIFT:
            direction = "higher" if low > 0 else "lower"
            flips = share(outputs.intolerant.mean)
            severity, labels = weighed(known, policy, Severity.WARNING)
            yield Finding(
                kind="score_shift",
                severity=severity.at_most(Severity.WARNING),
                message=(
                    f"{known.name}'s probabilities are {number(abs(shift.mean), 2)} {direction} than the "
                    f"champion's on the same requests, while labels differ on {flips}. "
                    f"A threshold tuned for the champion will not fit.{labels}"
                ),
                where=Where(output=f"probability of class {column}"),
                effect=Effect("shift", shift.mean, low, high, "probability", 0.0, "control"),
            )
            return
