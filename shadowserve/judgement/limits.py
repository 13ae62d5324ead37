"""The limits of the policy, and how each stands: kept, broken or undecided, at every look.

*Kept* is proven at full alpha, since all limits must hold together; *broken* at a share of alpha, since any
one of them rejects. In between a limit says how many more requests decide it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from shadowserve.comparison.lasting import ERROR
from shadowserve.comparison.learned import Learned
from shadowserve.comparison.weighed import highest
from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings import gains
from shadowserve.judgement.findings.coverage import compared
from shadowserve.judgement.findings.error_rate import ERROR_RATE
from shadowserve.judgement.findings.gains import LIMITS
from shadowserve.judgement.findings.labelled import by_labels
from shadowserve.judgement.findings.latency import SLOW_PROCESS, waited
from shadowserve.judgement.findings.prediction_divergence import above_noise
from shadowserve.judgement.findings.standing import standing
from shadowserve.judgement.limit import Limit, Standing
from shadowserve.labels.far import FarOff
from shadowserve.labels.gain import Loss
from shadowserve.legible import counted, number, share
from shadowserve.settings.policy import Policy
from shadowserve.statistics.epochs import STRETCHES
from shadowserve.statistics.sequential import MeanSequence


@dataclass(frozen=True, slots=True)
class Unit:
    """What is counted as one observation.

    Parameters
    ----------
    name : str
        ``request``, or the column or header that names the entity.
    n : int
        How many there were; a request without an entity is a unit of its own.
    without : int
        Requests that named no entity.
    """

    name: str
    n: int
    without: int


def limits(known: Facts, policy: Policy) -> tuple[Limit, ...]:
    """Return how each limit of the policy stands.

    Labels decide in the place of disagreement once there are enough: an improvement must disagree. Of requests that
    were recorded before, none tells what callers would wait.

    Parameters
    ----------
    known : Facts
    policy : Policy
    """
    labelled = by_labels(known, policy) is not None
    return (
        _coverage(known, policy),
        _loss(known, policy) if labelled else _disagreement(known, policy),
        _errors(known, policy),
        *(() if known.deployment.rescored else (_latency(known, policy),)),
    )


def _coverage(known: Facts, policy: Policy) -> Limit:
    n = compared(known)
    unit = unit_of(known)
    stands = Standing(n, n, policy.min_requests, "requests")
    by = "" if unit.name == "request" else f" They count as {unit.n} different {unit.name!r}."
    if n >= policy.min_requests:
        says = f"{n:,} requests were answered by both.{by}"
        return Limit("coverage", "kept", says, stands=stands)
    more = policy.min_requests - n
    state = f" ({known.lane.state}: {known.lane.reason})" if known.lane.reason else ""
    return Limit(
        "coverage",
        "undecided",
        f"{n:,} of {policy.min_requests:,} requests compared{state}.",
        more,
        stands,
    )


def unit_of(known: Facts) -> Unit:
    """Return what is counted as one observation of a challenger, and how many there are."""
    options, learned = known.deployment.options, known.learned
    entity = options.entity or options.entity_header
    if entity is None or learned is None:
        return Unit(entity or "request", learned.requests if learned else 0, 0)
    return Unit(entity, learned.units.n + learned.units.without, learned.units.without)


def _disagreement(known: Facts, policy: Policy) -> Limit:
    limit = policy.max_disagreement
    if known.learned is None or not known.learned.outputs.disagreement.n:
        return Limit("disagreement", "undecided", "Nothing has been compared yet.")
    outputs = known.learned.outputs
    # Broken shares alpha, since any one limit may reject; kept does not, since all must hold
    # together.
    low, high = above_noise(known, outputs, alpha=policy.alpha, alpha_low=policy.alpha / LIMITS)
    stands = Standing(max(low, 0.0), high, limit, "share")
    says = f"Disagreement above the noise lies between {share(max(low, 0.0))} and {share(high)}; {share(limit)} is allowed."
    if high < limit:
        weighed = known.learned.weighed
        noise = known.control.outputs.judged if known.control is not None else None
        most = highest(weighed.disagreement) - (noise.mean if noise is not None and noise.n else 0)
        if not weighed.thinned or most < limit:
            return Limit("disagreement", "kept", says, stands=stands)
        return Limit("disagreement", "undecided", f"{says} {_weighed(most)}", stands=stands)
    if low > limit:
        return Limit("disagreement", "broken", says, stands=stands)
    more = _needed(outputs.judged, limit, policy)
    return Limit("disagreement", "undecided", says, more, stands)


def _loss(known: Facts, policy: Policy) -> Limit:
    """Judge by labels: an honest improvement must disagree, but may not be wrong more often."""
    losses = known.losses
    if losses is None or losses.decisive is None:
        return Limit("loss", "undecided", "No label has been joined yet.")
    state = by_labels(known, policy) or "undecided"
    more = gains.needed(losses.decisive, policy) if state == "undecided" else None
    return Limit("loss", state, gains.told(losses, policy), more, _lost(losses.decisive, policy))


def _lost(loss: Loss, policy: Policy) -> Standing | None:
    """Return the share of the champion's gain that is lost; None where either end is open."""
    low, high = loss.lost(alpha=policy.alpha, broken_alpha=policy.alpha / LIMITS)
    return None if low is None or high is None else Standing(low, high, loss.allowed, "share")


def _errors(known: Facts, policy: Policy) -> Limit:
    limit = policy.max_error_rate
    if known.learned is None or not known.learned.failures.rate.n:
        return Limit("errors", "undecided", "Nothing has been scored yet.")
    more, far = known.learned.failures.more, known.losses.far_off if known.losses else None
    if far is not None:
        # The loss is capped so that few labels decide; what the cap hides must count somewhere.
        more = far.with_failures(more)
    (low, _), (_, high) = more.interval(2 * policy.alpha / LIMITS), more.interval(2 * policy.alpha)
    stands = Standing(low, high, limit, "share")
    says = f"{_fails(more, policy)} than the champion; {share(limit)} is allowed.{_far_off(far)}"
    if more.is_above(limit, alpha=policy.alpha / LIMITS):
        is_far = far is not None and far.more.is_above(limit, alpha=policy.alpha / LIMITS)
        # An outage around the lane fails requests too, and statistics of one stream cannot tell
        # them apart.
        if not is_far and not _is_its_own(known, known.learned, policy):
            says += " Whether the version or its surroundings failed is not settled yet."
            return Limit("errors", "undecided", says, stands=stands)
        return Limit("errors", "broken", says, stands=stands)
    if more.is_below(limit, alpha=policy.alpha):
        weighed = known.learned.weighed
        if not weighed.thinned or highest(weighed.more_errors) < limit:
            return Limit("errors", "kept", says, stands=stands)
        says += f" {_weighed(highest(weighed.more_errors))}"
        return Limit("errors", "undecided", says, stands=stands)
    return Limit("errors", "undecided", says, _needed(more, limit, policy), stands)


def _weighed(most: float) -> str:
    """Say that thinned traffic may be worse than what was scored of it."""
    return (
        "While the lane was behind, a share was scored; by the weight of what that stands for it may be "
        f"{share(most)} of all traffic."
    )


def _far_off(far: FarOff | None) -> str:
    """Say how many answers count as failures since they lie far from the champion's."""
    if far is None or far.reach is None or not far.own:
        return ""
    return f" Among them are {counted(far.own, 'answer')} further than {number(far.reach)} from the champion's."


def _fails(more: MeanSequence, policy: Policy) -> str:
    """Say on how many more requests it fails, by the very bounds that the limit is judged by."""
    _, high = more.interval(2 * policy.alpha)  # either end is one-sided at half of it
    low, _ = more.interval(2 * policy.alpha / LIMITS)
    if high < 0:
        return f"It fails on at least {share(-high)} of requests less"
    if low > 0:
        return f"It fails on between {share(low)} and {share(high)} of requests more"
    return f"It fails on at most {share(high)} of requests more"


def _is_its_own(known: Facts, learned: Learned, policy: Policy) -> bool:
    """Whether failures are the version's own, as far as lanes may find out."""
    stands = standing(known, learned, ERROR, policy, alpha=ERROR_RATE.alpha(policy))
    return stands.is_proven or not stands.rescored or bool(learned.failures.poison)


def _needed(seen: MeanSequence, limit: float, policy: Policy) -> int | None:
    """Return how many more requests prove the limit kept or broken, whichever it looks like."""
    # Only the side that it leans to can be reached; the other would take for ever.
    broken = seen.mean > limit
    return seen.needed(limit, alpha=policy.alpha / LIMITS if broken else policy.alpha)


def _latency(known: Facts, policy: Policy) -> Limit:
    """Judge what callers would wait: the model's time with the server's, and never less than 1 ms."""
    paired = known.paired
    if not known.deployment.control:
        return Limit(
            "latency", "undecided", "Without a control lane times cannot be compared fairly."
        )
    if paired.n_bursts == 0:
        return Limit(
            "latency", "undecided", "No request has been timed by both challenger and control yet."
        )
    found = paired.interval(policy.alpha, alpha_low=policy.alpha / LIMITS)
    needed = paired.needed(alpha=policy.alpha, alpha_low=policy.alpha / LIMITS)
    more = _requests(known, needed)
    if not found.n_bursts:
        says = f"{counted(paired.n_bursts, 'burst of requests was', 'bursts of requests were')} timed by both; {STRETCHES} are the least."
        return Limit("latency", "undecided", says, more)
    says = waited(paired, found)
    stands = Standing(found.low, found.high, 1 + paired.margin, "ratio")
    if found.high < 1 + paired.margin:
        return Limit("latency", "kept", says, stands=stands)
    # Without turns a process in a slow spell looks like a slow version: that rejects nothing.
    if found.low > 1 + paired.margin and known.in_turn:
        return Limit("latency", "broken", says, stands=stands)
    if found.low > 1 + paired.margin:
        return Limit("latency", "undecided", f"{says} {SLOW_PROCESS}", stands=stands)
    return Limit("latency", "undecided", says, more, stands)


def _requests(known: Facts, n_bursts: int | None) -> int | None:
    """Return how many more requests bring so many bursts, at the rate at which they came so far."""
    if n_bursts is None or known.learned is None or not known.paired.n_bursts:
        return None
    return ceil(n_bursts * known.learned.requests / known.paired.n_bursts)
