"""Probabilities that have moved, which may hide behind equal labels.

They move in two ways: one class gains what others lose, or whatever class is likeliest gains or loses,
so that the version is surer of itself than the champion, or less sure, whatever it says.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from shadowserve.comparison.outputs import Outputs
from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings.finding import Effect, Finding, Severity, Where
from shadowserve.judgement.findings.kind import FindingKind, Needs, finds
from shadowserve.judgement.findings.labelled import weighed
from shadowserve.legible import number, share
from shadowserve.settings.policy import ALARM_SHARE, Policy
from shadowserve.statistics.sequential import MeanSequence, paired_mean

SCORE_SHIFT = FindingKind(
    "score_shift",
    fires="Probabilities are proven to have moved by more than 0.02 on the same requests.",
    share=ALARM_SHARE,
)

SCORE_CLIP = 0.25
"""The most that one move counts: a bet on a mean needs a declared range, and a narrower one proves sooner."""
MIN_SHIFT = 0.02
"""A mean move of probability below which hardly a threshold is passed by other requests than before."""


@finds(SCORE_SHIFT, needs=Needs.ANSWERS)
def look(known: Facts, policy: Policy) -> Iterator[Finding]:
    """Yield what has become of the scores behind the answers: the largest move, of several."""
    scores = known.scores()
    if scores is None:
        return
    apart = scores.challenger - scores.control
    two = len(scores.classes) == 2
    # Of two classes the one's gain is the other's loss: testing both would only spend alpha.
    watched = [1] if two else range(len(scores.classes))
    moves = {f"probability of class {scores.classes[i]}": apart[:, i] for i in watched}
    alpha = SCORE_SHIFT.alpha(policy) / (len(moves) + 1)
    proven = {name: move for name, move in moves.items() if _least(move, alpha=alpha) > MIN_SHIFT}
    if proven:
        most = max(proven, key=lambda name: abs(float(proven[name].mean())))
        yield _shift(known, known.seen.outputs, policy, place=most, moved=proven[most], alpha=alpha)
        return
    # Chosen by the control: chosen by both, a class would look too likely to whoever chose it.
    top = scores.control.argmax(axis=1)
    surer = apart[np.arange(len(top)), top]
    least = _mean(surer).interval(alpha)[0] if _wanders(known) else _least(surer, alpha=alpha)
    if least > MIN_SHIFT:
        place = "probability of the likeliest class"
        yield _shift(known, known.seen.outputs, policy, place=place, moved=surer, alpha=alpha)


def _mean(moves: np.ndarray, *, clip: float = SCORE_CLIP) -> MeanSequence:
    mean = paired_mean(clip)
    mean.add(moves)
    return mean


def _least(moves: np.ndarray, *, alpha: float, clip: float = SCORE_CLIP) -> float:
    """Return by how much a mean is proven to have moved at least, in either direction."""
    low, high = _mean(moves, clip=clip).interval(alpha)
    return max(low, -high)


def _wanders(known: Facts) -> bool:
    """Whether the champion's scores may scatter: then its likeliest class looks too likely by chance."""
    control = known.control
    again = control.noise.scores_again if control is not None else None
    return again is not None and (again.n == 0 or again.mean > 0)


def _shift(
    known: Facts, outputs: Outputs, policy: Policy, *, place: str, moved: np.ndarray, alpha: float
) -> Finding:
    """Tell by how much: as large as it is where that is proven in full, else as it was judged."""
    mean, clipped = _mean(moved, clip=1.0), ""
    if _least(moved, alpha=alpha, clip=1.0) <= MIN_SHIFT:
        # Rare large moves can outweigh what is proven of the rest: what is shown is what was judged.
        mean = _mean(moved)
        clipped = f" (a move of more than {SCORE_CLIP} counts as {SCORE_CLIP})"
        clipped = clipped if mean.clipped else ""
    low, high = mean.interval(alpha)
    flips = share(outputs.intolerant.mean)
    severity, labels = weighed(known, policy, Severity.WARNING)
    return Finding(
        kind=SCORE_SHIFT.told,
        severity=severity.at_most(Severity.WARNING),
        message=(
            f"{known.name}'s {place} is {number(abs(mean.mean), 2)} {'higher' if mean.mean > 0 else 'lower'} "
            f"than the champion's on the same requests{clipped}, while answers differ on {flips}. "
            f"A threshold tuned for the champion will not fit.{labels}"
        ),
        where=Where(output=place),
        effect=Effect("shift", mean.mean, low, high, "probability", 0.0, "control"),
        aspect=place,
    )
