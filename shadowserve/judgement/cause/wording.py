"""What is said of the parts of two versions: of their estimators, their steps, and what carries a divergence."""

from __future__ import annotations

import numpy as np

from shadowserve.judgement.cause.cause import MOST_INTERACTION, Carrier, Share, Side, listed
from shadowserve.legible import share
from shadowserve.scorer.parts import Outline

Names = tuple[str, str]
Outlines = tuple[Outline, Outline]


def of_estimators(names: Names, outlines: Outlines) -> str:
    """Say how the estimators differ where that is a parameter or a class."""
    a, b = (one.estimator for one in outlines)
    if a is None or b is None:
        return ""
    if a.made_of != b.made_of:
        return f", a {b.made_of.rpartition('.')[2]} where {names[0]} has a {a.made_of.rpartition('.')[2]}"
    changed = [
        f"{k} {b.params[k]} instead of {v}"
        for k, v in a.params.items()
        if k in b.params and repr(b.params[k]) != repr(v)  # NaN is NaN
    ]
    return (
        f" ({listed(changed)})"
        if changed
        else ", of the same kind with the same parameters and other weights"
    )


def carried_by(carried: tuple[Carrier, ...], rest: Share | None) -> str:
    """Say which steps carry a divergence, or that it cannot be said."""
    if rest is not None and rest.high > MOST_INTERACTION:
        among = f", among {listed([one.step for one in carried])}" if carried else ""
        return f" Which step carries it cannot be said: {rest} of it is carried by no step alone{among}."
    told = [f"{one.step} carries {one.share}: {one.what}" for one in carried[:3]]
    return f" {'; '.join(told)}." if told else ""


def beyond_reach(names: Names, outlines: Outlines, champion: Side) -> str:
    """Say what the challenger's estimator cannot answer whatever it is handed."""
    own, other = outlines
    if not own.reach or not other.reach:
        return ""
    gone = set(own.reach) - set(other.reach)
    given = [str(value) for value in np.asarray(champion.answers({})).ravel().tolist()]
    lost = sum(value in gone for value in given) / len(given)
    if not lost:
        return ""
    ours, theirs = names
    return (
        f" Whatever it is handed, {theirs}'s estimator cannot give {share(lost)} of what {ours} answers here: it was "
        f"fitted with {len(other.reach):,} answers, {ours}'s with {len(own.reach):,}."
    )


def differing_steps(names: Names, outlines: Outlines) -> list[str]:
    """Return the steps that are fitted otherwise, and those that one version alone has."""
    own, other = ({step.name: step.digest for step in one.steps} for one in outlines)
    only = [f"{name} (only {names[0]})" for name in own if name not in other]
    only += [f"{name} (only {names[1]})" for name in other if name not in own]
    return [name for name in own if name in other and not equal(own[name], other[name])] + only


def equal(one: str | None, other: str | None) -> bool:
    """Whether two digests are known and the same."""
    return one is not None and one == other
