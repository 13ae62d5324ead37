"""What labels say of a challenger, in words: what is told is what was judged."""

from __future__ import annotations

from math import ceil, isfinite

from shadowserve.divergence import output_kind
from shadowserve.labels import Loss, Losses
from shadowserve.labels.losses import COST, OWN, RANK
from shadowserve.legible import number, share
from shadowserve.settings.policy import Policy

LIMITS = 4
"""Among which a reject shares alpha."""

RARE = 0.1
"""Share of the rarest class below which ranking decides with fewer labels."""


def told(losses: Losses, policy: Policy) -> str:
    """Say how the decisive loss stands: how much of the champion's gain it loses, and what is allowed."""
    loss = losses.decisive
    if loss is None:
        return "No label has been joined yet."
    alphas = {"alpha": policy.alpha, "broken_alpha": policy.alpha / LIMITS}
    standing = loss.standing(**alphas)
    if standing == "kept":
        return kept(losses, policy)
    parts = [_begin(losses, loss)]
    if standing == "broken":
        least, beyond = loss.lost(**alphas)[0], loss.is_beyond_times(policy.alpha / LIMITS)
        if least is not None or not beyond:
            parts.append(f"It loses {_at_least(least)} {_of_what(losses, loss)}.")
        if beyond:
            parts.append("Its loss is more than twice the champion's.")
    else:
        parts += _undecided(losses, loss, policy)
    return " ".join(filter(None, parts))


def kept(losses: Losses, policy: Policy) -> str:
    """Say what a kept limit proves, and what it cannot."""
    loss = losses.decisive
    if loss is None:
        return ""
    _, most = loss.lost(alpha=policy.alpha, broken_alpha=policy.alpha / LIMITS)
    most = loss.allowed if most is None else most
    gains = (
        f"gains at least {share(-most)} more than"
        if most < 0
        else f"loses {_at_most(most)} of what"
    )
    end = "gains" if most >= 0 else "does"
    low, high = loss.interval(policy.alpha)
    worse = ""
    if low is not None and high is not None and low > 0:
        worse = f" It is worse, by at most {number(high)} of {_name(loss)}, within the margin."
    return (
        f"By {losses.judging:,} labels it {gains} the champion {end} over {always(losses, loss)} "
        f"({_allowed(loss)}).{worse} Errors seen less than once in {losses.judging:,} labels could still "
        "change that."
    )


def _at_most(most: float) -> str:
    return "nothing" if most == 0 else f"at most {share(most)}"


def _at_least(least: float | None) -> str:
    return "more than is allowed" if least is None else f"at least {share(least)}"


def _allowed(loss: Loss) -> str:
    if loss.allowed < 0:
        return f"a gain of {share(-loss.allowed)} more is asked for"
    return f"{share(loss.allowed)} is allowed"


def _begin(losses: Losses, loss: Loss) -> str:
    return (
        f"By {losses.judging:,} labels its {_name(loss)} is {number(loss.challenger)}, the champion's "
        f"{number(loss.champion)}, and {number(loss.constant)} for {always(losses, loss)}."
    )


def _of_what(losses: Losses, loss: Loss) -> str:
    return f"of what the champion gains over {always(losses, loss)}; {_allowed(loss)}"


def _undecided(losses: Losses, loss: Loss, policy: Policy) -> list[str]:
    """Say what is open, why, and what decides it."""
    if loss.scale.cap is None:
        return ["The first labels set what a loss counts at most; they judge nothing."]
    if loss.scale.is_too_small:
        return [
            f"{share(loss.scale.outside / loss.scale.later)} of later labels lie far outside of the first "
            "hundred, which set the most that a loss counts. Set loss_cap in [verdict]."
        ]
    least, most = loss.lost(alpha=policy.alpha, broken_alpha=policy.alpha / LIMITS)
    if not loss.champion_gains:
        return [
            f"Under this loss the champion does not beat {always(losses, loss)} either. Choose a loss that "
            f"your use rests on: loss in [verdict]{_such_as(losses, loss)}."
        ]
    open_ = {
        (False, False): "How much it loses of the champion's gain is not known yet",
        (True, False): f"It loses {_at_least(least)} of the champion's gain",
        (False, True): f"It loses {_at_most(most or 0.0)} of the champion's gain",
        (
            True,
            True,
        ): f"It loses {share(least or 0.0)} to {share(most or 0.0)} of the champion's gain",
    }[least is not None, most is not None]
    parts = [f"{open_}; {_allowed(loss)}."]
    if not loss.is_useful(policy.alpha):
        parts.append(f"That it beats {always(losses, loss)} is not proven.")
    elif not loss.is_within_times(policy.alpha):
        parts.append("That its loss is at most twice the champion's is not proven.")
    elif not loss.means_keep and most is not None and most <= loss.allowed:
        parts.append(
            f"Some of its errors are far beyond {number(loss.scale.cap)}, the most that one counts: with them "
            "its mean is beyond the limit."
        )
    return [*parts, _wanted(losses, loss, policy), _advice(losses, loss)]


def _wanted(losses: Losses, loss: Loss, policy: Policy) -> str:
    """Name the labels that are still needed, those of a rare class apart."""
    n = needed(loss, policy)
    rarest = losses.constant.rarest
    if n is None:
        return "How many labels decide cannot be told yet."
    rate = losses.constant.share(rarest) if rarest is not None else 1.0
    if rate >= RARE:
        return ""
    return f"It takes about {n:,} more labels, {ceil(n * rate):,} of them of the rarest class."


def needed(loss: Loss, policy: Policy) -> int | None:
    """Return how many more labels decide, at the pace of those so far."""
    return loss.needed(
        alpha=policy.alpha, broken_alpha=policy.alpha / LIMITS
    ) or loss.needed_if_equal(alpha=policy.alpha)


def _advice(losses: Losses, loss: Loss) -> str:
    rarest = losses.constant.rarest
    if loss.measure == RANK or rarest is None or RANK not in losses.measures:
        return ""
    rate = losses.constant.share(rarest)
    if rate >= RARE:
        return ""
    return f'For a class as rare as {share(rate)}, loss = "rank" in [verdict] decides with fewer labels.'


def _such_as(losses: Losses, loss: Loss) -> str:
    better = [
        name
        for name, one in losses.measures.items()
        if name != loss.measure and one.champion_gains and one.n
    ]
    return f", such as {' or '.join(better)}" if better else ""


def always(losses: Losses, loss: Loss) -> str:
    """Name the constant answer that a loss is measured against.

    A class is named, and no number of a label is ever told.
    """
    constant = losses.constant
    if loss.without_constant > loss.n / 2:
        return "no answer (no constant one is known; its own loss is the measure)"
    if loss.measure == RANK:
        return "an order by chance"
    if loss.measure in ("brier", "log_loss"):
        if len(constant.counts) == 2 and (rarest := constant.rarest) is not None:
            return f"answering {share(constant.share(rarest))} always"
        return "answering each class's share always"
    if loss.measure in (OWN, COST) or losses.kind is None:
        return "the best constant answer"
    return output_kind(losses.kind).tell_always(loss.measure, constant)


def _name(loss: Loss) -> str:
    if loss.measure == RANK:
        return "share of pairs in the wrong order (1 less the AUC)"
    return loss.measure.replace("_", " ") if isfinite(loss.champion) else loss.measure
