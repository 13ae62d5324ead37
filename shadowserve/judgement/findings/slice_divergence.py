"""Parts of the traffic on which the answers lie further apart than elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from math import log

from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings.finding import Effect, Finding, Severity, Where
from shadowserve.judgement.findings.kind import FindingKind, Needs, finds
from shadowserve.judgement.findings.labelled import weighed
from shadowserve.judgement.findings.prediction_divergence import is_more_often
from shadowserve.legible import share
from shadowserve.settings.policy import ALARM_SHARE, Policy
from shadowserve.statistics.sequential import rate_evidence
from shadowserve.statistics.slices import Slice

SLICE_DIVERGENCE = FindingKind(
    "slice_divergence",
    fires="A part of the traffic is proven to disagree more than the rest.",
    share=ALARM_SHARE,
)


@finds(SLICE_DIVERGENCE, needs=Needs.ANSWERS)
def look(known: Facts, policy: Policy) -> Iterator[Finding]:
    """Yield each part that is proven to disagree more than the rest."""
    search, of = known.seen.outputs.slices, known.tally.of
    if search is None:
        return
    alpha = SLICE_DIVERGENCE.alpha(policy)
    for found in search.findings(alpha, show=policy.shown(search.names)):
        # Proven apart is not worth a look: in much traffic any difference is proven at some time.
        if found.rate - found.rate_outside < policy.min_disagreement:
            continue
        severity, labels = weighed(known, policy, Severity.WARNING)
        noise = _noise(known, found, policy)
        yield Finding(
            kind=SLICE_DIVERGENCE.told,
            severity=severity.at_most(Severity.NOTE if noise else Severity.WARNING),
            message=(
                f"Where {found.describe} ({share(found.share)} of traffic), {known.name} "
                f"{of.tell_slice(found.rate, found.rate_outside)}. "
                f"{noise or 'Ask what that part of the data met in training.'}{labels}"
            ),
            where=Where(
                columns=tuple(map(str, found.columns)),
                slice=found.describe,
                conditions=found.keys,
            ),
            effect=Effect(
                "disagreement",
                found.rate,
                found.low,
                found.high,
                of.slice_unit,
                found.rate_outside,
                "challenger",
            ),
        )


def _noise(known: Facts, found: Slice, policy: Policy) -> str:
    """Say why a slice may be nothing but noise; empty where it is more.

    Noise turns the close calls over, so where many are close it looks like a slice.
    """
    if not _persists(known, found, policy):
        return (
            f"Of {found.doubted} such answers scored again, {found.persisting} differed as before: "
            "it may be noise where calls are close."
        )
    theirs = known.control.outputs if known.control else None
    wanders = theirs is not None and theirs.intolerant.n and theirs.intolerant.mean > 0
    alpha = SLICE_DIVERGENCE.alpha(policy)
    if wanders and not is_more_often(known, known.seen.outputs, alpha=alpha):
        return "The champion differs from itself as often: it may be its own noise where calls are close."
    return ""


def _persists(known: Facts, found: Slice, policy: Policy) -> bool:
    """Whether the disagreement is there again on a second scoring, more often than noise would be.

    A version whose answers scatter around the champion's comes back towards it at least every other
    time: of two alike draws the second is as likely on either side of the first. Where nothing was
    ever scored again there is nothing to go by, and a slice is believed.
    """
    again = known.seen.noise.persisting
    if not again.n:
        return True
    # Where everything ever scored again differed as before, the few of this slice need not prove it
    # alone.
    n, same = (again.n, again.n) if again.mean == 1 else (found.doubted, found.persisting)
    return same > n / 2 and bool(rate_evidence(n, same, 0.5) >= log(1 / policy.alpha))
