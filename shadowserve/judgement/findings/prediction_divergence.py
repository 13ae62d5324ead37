"""How far the answers lie apart above the noise, in the words of their kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from shadowserve.comparison.outputs import Outputs
from shadowserve.divergence import KindTally
from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings.finding import Effect, Finding, Severity, Where
from shadowserve.judgement.findings.kind import FindingKind, Needs, finds
from shadowserve.judgement.findings.labelled import weighed
from shadowserve.legible import share
from shadowserve.settings.policy import ALARM_SHARE, Policy
from shadowserve.statistics.sequential import difference, log_e_difference

PREDICTION_DIVERGENCE = FindingKind(
    "prediction_divergence",
    fires="The mean disagreement above the control's is proven to exceed `min_disagreement`.",
    share=ALARM_SHARE,
)

MOST_PARTS = 3
"""Fields of a record that a message names; the report has them all."""
NOISY, DOUBT_ALPHA = 0.5, 0.01
"""Of two draws of the same noise, the second lies on the first's side half of the time. Proven below that,
at one in a hundred, a disagreement is noise."""


@finds(PREDICTION_DIVERGENCE, needs=Needs.ANSWERS)
def look(known: Facts, policy: Policy) -> Iterator[Finding]:
    """Yield a disagreement that is proven."""
    outputs, tally = known.seen.outputs, known.tally
    noise = 0.0
    if known.control is not None and known.control.outputs.disagreement.n:
        noise = known.control.outputs.disagreement.mean
    alpha = PREDICTION_DIVERGENCE.alpha(policy) / 2  # two ways to raise it
    if not _may_be_apart(known, outputs, policy, alpha=alpha):
        return
    low, high = above_noise(known, outputs, alpha=alpha)
    if low <= policy.min_disagreement and is_more_often(known, outputs, alpha=alpha):
        # It is proven that the excess is no noise, so its size needs the challenger's interval
        # alone.
        low, high = (bound - noise for bound in outputs.judged.interval(alpha))
    if low <= policy.min_disagreement:
        return
    rate, lasts = outputs.intolerant.mean, _lasting(known)
    lasting = low * lasts.counts
    broken = lasting > policy.max_disagreement
    place, story = _story(tally, rate, known.name)
    severity, labels = weighed(known, policy, Severity.CRITICAL if broken else Severity.WARNING)
    if lasting <= policy.min_disagreement:
        severity = severity.at_most(Severity.NOTE)
        labels += f" Scored again, only {share(lasts.share)} of these differ as before: the rest is noise."
    floor = f" The champion disagrees with itself on {share(noise)}." if noise else ""
    yield Finding(
        kind=PREDICTION_DIVERGENCE.told,
        severity=severity,
        message=f"{story}{floor}{labels}{_next(outputs)}",
        where=Where(output=place, columns=_explaining(outputs), items=_lost(tally)),
        effect=Effect(
            "disagreement",
            outputs.judged.mean,
            low,
            high,
            tally.of.unit or str(tally.kind),
            noise,
            "control",
        ),
        since=outputs.first_differing,
        examples=tuple(row["position"] for row in outputs.worst.rows()[:5]),
        explained=True,
    )


class _Lasting(NamedTuple):
    """How much of a disagreement is the version's, by what came of a second scoring.

    Parameters
    ----------
    share : float
        Of differing answers that differ as before.
    counts : float
        The part that counts as divergence: none where most is proven to come back to the champion.
        What wanders is told by `nondeterminism`, and a spell of it looks like a divergence.
    """

    share: float
    counts: float


def _lasting(known: Facts) -> _Lasting:
    doubted = known.seen.noise.persisting
    if not doubted.n:
        return _Lasting(1.0, 1.0)
    # One that lasts is added to those seen: a few seen take nothing from what is proven of many.
    part = float((doubted.mean * doubted.n + 1) / (doubted.n + 1))
    return _Lasting(part, 0.0 if doubted.is_below(NOISY, alpha=DOUBT_ALPHA) else part)


def _next(outputs: Outputs) -> str:
    """Point at the worst requests where there are any to look at."""
    if not outputs.worst.rows():
        return ""
    return " Look at the worst requests before switching: the report names them."


def above_noise(
    known: Facts, outputs: Outputs, *, alpha: float, alpha_low: float | None = None
) -> tuple[float, float]:
    """Return the interval of the challenger's disagreement above the control's; the lower end at a level of its own.

    The control is the champion scored again: what it disagrees on is noise. Without a control the
    noise is taken to be none.
    """
    if known.control is None or known.control.outputs.judged.n == 0:
        low, high = outputs.judged.interval(alpha)
        return low if alpha_low is None else outputs.judged.interval(alpha_low)[0], high
    theirs = known.control.outputs.judged
    return difference(outputs.judged, theirs, alpha=alpha, alpha_low=alpha_low)


def _may_be_apart(known: Facts, outputs: Outputs, policy: Policy, *, alpha: float) -> bool:
    """Whether either way can be proven, asked by evidence alone: an interval costs a hundred times more."""
    if known.control is None or known.control.outputs.judged.n == 0:
        return True
    theirs, needed = known.control.outputs, np.log(2 / alpha)
    return bool(
        log_e_difference(outputs.judged, theirs.judged, policy.min_disagreement) >= needed
        or log_e_difference(outputs.judged_intolerant, theirs.judged_intolerant) >= needed
    )


def is_more_often(known: Facts, outputs: Outputs, *, alpha: float) -> bool:
    """Whether the challenger differs on proven more requests than the champion from itself.

    Sharper than sizes where the champion is the same every time and the challenger a little off on
    nearly everything: then what is seen on the control's few requests settles that it is no noise.
    """
    if known.control is None or not known.control.outputs.judged_intolerant.n:
        return False
    theirs = known.control.outputs.judged_intolerant
    return difference(outputs.judged_intolerant, theirs, alpha=alpha)[0] > 0


def _story(tally: KindTally, rate: float, name: str) -> tuple[str, str]:
    """Return the place of a divergence and its story, in the words of the kind of output."""
    if not tally.fields:
        return str(tally.kind), f"{name} {tally.of.tell(tally.summary(), rate)}."
    wrong = sorted(_differing_parts(tally), key=lambda part: -part[2]["disagreement"]["mean"])
    if not wrong:
        return str(tally.kind), f"{name} answers differently for {share(rate)} of requests."
    told = "; ".join(
        f"'{field}' {part.of.tell(one, 1 - one['agreement']['share_tolerant'])}"
        for field, part, one in wrong[:MOST_PARTS]
    )
    n_outputs = sum(1 for _ in tally.leaves())
    story = f"{name} differs in {len(wrong)} of {n_outputs} outputs: {told}."
    return ", ".join(field for field, *_ in wrong[:MOST_PARTS]), story


def _differing_parts(tally: KindTally) -> Iterator[tuple[str, KindTally, dict[str, Any]]]:
    """Yield path, tally and summary of the fields that differ beyond tolerance."""
    for path, part in tally.leaves():
        told = part.summary()
        # Sums of floats differ in their last bits by the batch; that is within tolerance and no
        # story.
        if (told["agreement"]["share_tolerant"] or 0.0) < 1 and told["disagreement"]["mean"]:
            yield path, part, told


def _lost(tally: KindTally) -> tuple[str, ...]:
    """Return the answers that the challenger never gives, in an output or any of its fields."""
    return tuple(name for _, part in tally.leaves() for name in part.of.lost(part.summary()))


def _explaining(outputs: Outputs) -> tuple[str, ...]:
    """Return the columns whose values explain a good part of the disagreement."""
    if outputs.slices is None:
        return ()
    return tuple(str(column) for column, part in outputs.slices.explaining()[:3] if part > 0.05)
