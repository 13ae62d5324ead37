"""Parts of the traffic on which the answers lie further apart than elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from shadowserve.findings.finding import Effect, Finding, Severity, Where, share
from shadowserve.findings.labelled import weighed
from shadowserve.known import Known
from shadowserve.lane.outputs import Outputs
from shadowserve.policy import Policy


def look(known: Known, policy: Policy) -> Iterator[Finding]:
    """Yield each part that is proven to disagree more than the rest."""
    if known.learned is None or known.learned.outputs.tally is None:
        return
    yield from _slices(known, known.learned.outputs, policy)


def _slices(known: Known, outputs: Outputs, policy: Policy) -> Iterator[Finding]:
    if outputs.slices is None:
        return
    for found in outputs.slices.findings(
        policy.alarm_alpha("slice_divergence"), show=policy.shown(outputs.slices.names)
    ):
        if found.rate - found.rate_outside < policy.min_disagreement:
            continue
        severity, labels = weighed(known, policy, Severity.WARNING)
        severity = severity.at_most(Severity.WARNING)
        yield Finding(
            kind="slice_divergence",
            severity=Severity.NOTE if _is_noise(known, policy) else severity,
            message=(
                f"Where {found.describe} ({share(found.share)} of traffic), {known.name} disagrees by "
                f"{share(found.rate)}, elsewhere by {share(found.rate_outside)}. "
                f"Ask what that part of the data met in training.{labels}"
            ),
            where=Where(columns=tuple(map(str, found.columns)), slice=found.describe),
            effect=Effect(
                "disagreement",
                found.rate,
                found.low,
                found.high,
                "share",
                found.rate_outside,
                "challenger",
            ),
        )


def _is_noise(known: Known, policy: Policy) -> bool:
    """Whether the version disagrees with itself about as often as with the champion.

    Noise flips the close calls, so where many are close it looks like a slice.
    """
    if known.learned is None or not known.learned.noise.again.n:
        return False
    again, apart = known.learned.noise.again, known.learned.outputs.intolerant
    return again.mean * again.n >= policy.min_examples and again.mean >= 0.5 * apart.mean
