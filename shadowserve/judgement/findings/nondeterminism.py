"""Answers that wander: a version that disagrees with itself, and what else may be noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter

import numpy as np

from shadowserve.comparison.failures import Noise
from shadowserve.comparison.learned import Learned
from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings.finding import Effect, Finding, Severity, Where
from shadowserve.judgement.findings.kind import FindingKind, Needs, finds
from shadowserve.legible import share
from shadowserve.settings.policy import ALARM_SHARE, Policy
from shadowserve.statistics.sequential import MeanSequence, two_rates

NONDETERMINISM = FindingKind(
    "nondeterminism",
    fires="Requests that were scored twice got two answers, alone or in company.",
    share=ALARM_SHARE,
)

DEPENDS = "depends on batch"
"""The place that page and catalogue know this way by; parts of reports are found by it."""
PROBABILITIES = "probabilities"
"""What differs where the answers hardly do: another thing to accept than answers that differ."""
FEWEST_OCCASIONS = 2
"""A version that has changed for good differs from its first answers once, in all that is scored again then."""
SO_DOES = ", and as far as measured so does the champion"
"""Ends a sentence that is a note only because the champion has the fault as well."""


@finds(NONDETERMINISM)
def of_champion(known: Facts, _policy: Policy) -> Iterator[Finding]:
    """Yield a champion that answers by what else is in the call."""
    if known.control is not None and known.control.noise.dependent:
        yield _champion_depends(known, known.control.noise)


@finds(NONDETERMINISM, needs=Needs.LEARNED)
def look(known: Facts, policy: Policy) -> Iterator[Finding]:
    """Yield how the version disagrees with itself: from call to call, and in a batch."""
    learned, noise = known.seen, known.seen.noise
    of_answers = noise.together, noise.again
    of_scores = noise.scores_together, noise.scores_again
    # Noise comes back on every occasion; a version that was replaced underneath differs once.
    returns = noise.occasions >= FEWEST_OCCASIONS
    wanders = _total(noise.again) + _total(noise.wandering) >= policy.min_examples
    if wanders and returns:
        yield _wandering(known, learned, policy)
    elif _total(noise.scores_again) >= policy.min_examples and returns:
        yield _scattering(known, learned, policy)
    for together, again in (of_answers, of_scores):
        if _total(together) < policy.min_examples:
            continue
        steady = not (wanders or _total(again))  # what wanders differs in a batch as well
        # What wanders alone also differs in company; only what goes beyond that is the batch's
        # doing.
        if steady or _beyond(together, again, policy):
            yield _batch_dependent(
                known, learned, policy, of_scores=together is noise.scores_together
            )
            return
    if noise.dependent:
        yield _depends(known, noise)


def _champion_depends(known: Facts, noise: Noise) -> Finding:
    """Tell of a champion that answers by what else is in the call: callers got each other's values."""
    harm = (
        "Requests of several callers shared calls of it; that was stopped in all workers. Answers given "
        "until then may hold other callers' values: serve it with --batch off, or mend it"
        if known.shared
        else "It is served row by row, so no caller gets another's values. Keep it so: --batch on is not for it"
    )
    return Finding(
        kind=NONDETERMINISM.told,
        severity=Severity.CRITICAL if known.shared else Severity.NOTE,
        message=(
            f"The champion {known.champion.pin.label} depends on batch: recorded requests are answered "
            f"differently alone and in company, each steadily so ({noise.dependent} proven). {harm}."
        ),
        where=Where(role="champion", output=DEPENDS),
        examples=tuple(noise.dependent_examples),
    )


def _depends(known: Facts, noise: Noise) -> Finding:
    """Tell of a challenger of which single requests prove what no share of requests shows yet."""
    # What the served version does too is not this version's harm, though it is worth knowing.
    theirs = known.control is not None and known.control.noise.dependent > 0
    harmless = theirs or (known.control is None and not known.shared)
    return Finding(
        kind=NONDETERMINISM.told,
        severity=Severity.NOTE if harmless else Severity.CRITICAL,
        message=(
            f"{known.name} depends on batch: recorded requests are answered differently alone and in "
            f"company, each steadily so ({noise.dependent} proven){SO_DOES if theirs else ''}. Behind a "
            "batching server callers would get each other's values."
        ),
        where=Where(output=DEPENDS),
        examples=tuple(noise.dependent_examples),
    )


def _wandering(known: Facts, learned: Learned, policy: Policy) -> Finding:
    noise, apart = learned.noise, learned.outputs.intolerant
    theirs = known.control.noise.again if known.control else None
    low, high = None, None
    if _total(noise.again) >= policy.min_examples:
        own, rate = noise.again, noise.again.mean
        low, high = own.interval(NONDETERMINISM.alpha(policy))
        how = f"on {share(rate)} of requests scored twice"
        beyond = _beyond_champion(known, own.n, _total(own), policy)
    else:  # too seldom for a share of all: what differs from the champion was scored again
        rate = apart.mean * noise.wandering.mean if noise.wandering.n else 0.0
        how = (
            f"on {round(_total(noise.wandering))} of {noise.wandering.n} requests that were scored again "
            "because they differ from the champion's"
        )
        beyond = _beyond_champion(known, apart.n, apart.n * rate, policy)
    return Finding(
        kind=NONDETERMINISM.told,
        severity=Severity.WARNING if beyond else Severity.NOTE,
        message=(
            f"{known.name} disagrees with itself {how}"
            + ("" if beyond else SO_DOES)
            + ". Divergence is judged above that noise. Is a seed missing?"
        ),
        effect=Effect(
            "self_disagreement",
            rate,
            low,
            high,
            "share",
            _mean_of(theirs),
            "control",
        ),
        examples=tuple(noise.examples),
    )


def _scattering(known: Facts, learned: Learned, policy: Policy) -> Finding:
    """Tell of probabilities that differ from call to call, though hardly an answer does."""
    return _measured(
        known,
        learned,
        policy,
        attrgetter("scores_again"),
        severity=Severity.WARNING,
        told="disagrees with itself in its probabilities on {share} of requests scored twice, in its answers "
        f"on {share(learned.noise.again.mean)}{{theirs}}. Is a seed missing?",
        output=PROBABILITIES,
        measure="self_disagreement",
        aspect=PROBABILITIES,
    )


def _batch_dependent(known: Facts, learned: Learned, policy: Policy, *, of_scores: bool) -> Finding:
    """Tell of answers that differ when others are scored in the same call."""
    how = "with other probabilities" if of_scores else "differently"
    return _measured(
        known,
        learned,
        policy,
        attrgetter("scores_together" if of_scores else "together"),
        severity=Severity.CRITICAL,
        told=f"depends on batch: alone and in a batch it answers the same request {how} ({{share}} of those "
        "tried){theirs}. State is shared between rows; behind a batching server callers would get each "
        "other's values.",
        output=DEPENDS,
        harmless=known.control is None and not known.shared,
        measure="batch_disagreement",
        aspect=PROBABILITIES if of_scores else "",
    )


def _measured(
    known: Facts,
    learned: Learned,
    policy: Policy,
    seen: Callable[[Noise], MeanSequence],
    *,
    severity: Severity,
    told: str,
    output: str,
    measure: str,
    aspect: str = "",
    harmless: bool = False,
) -> Finding:
    """Tell of a share of requests; a note if for all that is known the champion has it too.

    Parameters
    ----------
    seen : callable
        Picks what a lane saw of it.
    told : str
        What the version does, with places for ``{share}`` and for what ``{theirs}`` adds.
    harmless : bool
        Whether it is a note though nothing is known of the champion.
    """
    own, theirs = seen(learned.noise), seen(known.control.noise) if known.control else None
    beyond = not harmless and (theirs is None or _beyond(own, theirs, policy))
    # The interval is shown only; what decides is the comparison with the champion above.
    low, high = own.interval(NONDETERMINISM.alpha(policy))
    so_does = "" if beyond or harmless else SO_DOES
    return Finding(
        kind=NONDETERMINISM.told,
        severity=severity if beyond else Severity.NOTE,
        message=f"{known.name} {told.format(share=share(own.mean), theirs=so_does)}",
        where=Where(output=output),
        effect=Effect(measure, own.mean, low, high, "share", _mean_of(theirs), "control"),
        examples=tuple(learned.noise.examples),
        aspect=aspect,
    )


def _mean_of(theirs: MeanSequence | None) -> float | None:
    return theirs.mean if theirs is not None and theirs.n else None


def _beyond_champion(known: Facts, n: int, differing: float, policy: Policy) -> bool:
    """Whether the champion is told to be steadier than the challenger.

    The control answers requests that the champion answered, and some of them twice: both show how
    often the champion differs from itself.
    """
    if known.control is None:
        return True
    seen = (known.control.noise.again, *_answers_again(known))
    theirs = sum(one.n for one in seen), sum(map(_total, seen))
    return is_above((n, differing), theirs, policy)


def _beyond(own: MeanSequence, theirs: MeanSequence, policy: Policy) -> bool:
    return is_above((own.n, _total(own)), (theirs.n, _total(theirs)), policy)


def is_above(own: tuple[int, float], theirs: tuple[int, float], policy: Policy) -> bool:
    """Whether one share is told to be larger than the other, each given as rows and their total.

    One that never did must have had the occasion: had it the first one's rate, none in so many would
    come with at most this alarm's alpha.
    """
    needed = -np.log(NONDETERMINISM.alpha(policy))
    (n, differing), (n_other, differing_other) = own, theirs
    if not n or not n_other:
        return False
    if differing_other == 0:
        # (1 - rate)^n is about exp(-rate n): so many rows without one are that improbable at the
        # first's rate.
        return bool(n_other * differing / n >= needed)
    above = differing / n > differing_other / n_other
    return bool(above and two_rates(n, differing, n_other, differing_other) >= needed)


def _answers_again(known: Facts) -> Sequence[MeanSequence]:
    """Return the control's answers beside the champion's, which elsewhere may not be the same version."""
    if known.control is None or known.deployment.tapped:
        # In tap mode another server answers, so what it differs by is no noise of the version.
        return ()
    return (known.control.outputs.intolerant,)


def _total(seen: MeanSequence) -> float:
    return seen.mean * seen.n if seen.n else 0.0
