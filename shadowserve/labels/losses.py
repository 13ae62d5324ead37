"""How wrong each version was on one request, and how wrong the constant answer would have been."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, log, nan
from typing import Any, NamedTuple

import numpy as np

from shadowserve.divergence import OutputKind, output_kind, registered
from shadowserve.labels.constant import Constant, cost_of
from shadowserve.labels.terms import Terms
from shadowserve.statistics.tally.keys import class_key

LEAST_PROBABILITY = 1e-3
OWN, COST, RANK = "own", "cost", "rank"
_OF_SCORES = {"brier": 1.0, "log_loss": -log(LEAST_PROBABILITY), RANK: 1.0}


def bound(measure: str) -> float | None:
    """Return the most that a loss can be; None where it has no bound of its own."""
    of_kinds = (kind.bounds for kind in registered() if measure in kind.bounds)
    return next(of_kinds, _OF_SCORES).get(measure)


@dataclass(frozen=True, slots=True)
class Labelled:
    """One request of which the truth is known.

    Parameters
    ----------
    truth : sequence
        One label a row.
    champion, challenger : sequence of JSON values
        The answers, one a row.
    champion_scores, challenger_scores : mapping of class to probability, optional
        Keys as in `class_key`; None where one was not computed.
    """

    truth: Sequence[Any]
    champion: Sequence[Any]
    challenger: Sequence[Any]
    champion_scores: Mapping[str, float] | None = None
    challenger_scores: Mapping[str, float] | None = None


class Wrong(NamedTuple):
    """Losses of one request: the champion's, the challenger's, and the constant answer's.

    Parameters
    ----------
    constant : float
        0 before there was a label to make one of; NaN where no constant answer is known at all.
    scale : tuple of float
        What the cap of a loss without a bound is set by: the truths, or the constant's own loss.
    """

    champion: float
    challenger: float
    constant: float
    scale: tuple[float, ...] = ()

    @property
    def known(self) -> bool:
        """Whether both versions' are numbers."""
        return isfinite(self.champion) and isfinite(self.challenger)


def decisive(kind: str | None, terms: Terms) -> str | None:
    """Return the measure that a verdict rests on; None for kinds of output that have none."""
    if kind is None:
        return None
    if ":" in terms.chosen:
        return OWN
    return terms.chosen or (COST if terms.costs else output_kind(kind).decisive)


def by_request(kind: str | None, terms: Terms) -> str | None:
    """Return the measure that each label has by itself: the decisive one, unless that ranks."""
    chosen = decisive(kind, terms)
    return chosen if chosen != RANK or kind is None else output_kind(kind).decisive


def losses_of(
    request: Labelled, kind: str, constant: Constant, terms: Terms, own: Any = None
) -> dict[str, Wrong]:
    """Return the losses of one request by measure, means over its rows.

    Probabilities give further measures where both versions' are known, and so does a function of the
    team's own.

    Parameters
    ----------
    constant : Constant
        Of the labels before this one; it is not changed, but for what its answers cost by `own`.
    """
    of = output_kind(kind)
    found = _of_answers(request, of, constant)
    if terms.costs and of.has_classes:
        found[COST] = _costs(request, constant, terms.costs)
    ours, theirs = request.champion_scores, request.challenger_scores
    if ours and theirs and len(request.truth) == 1:
        key = class_key(request.truth[0])
        always = constant.shares({*ours, *theirs})
        champion, challenger, fixed = (_scored(scores, key) for scores in (ours, theirs, always))
        found |= {name: Wrong(champion[name], challenger[name], fixed[name]) for name in champion}
    if own is not None:
        found[OWN] = _own(request, constant, own)
    return found


def _of_answers(request: Labelled, of: OutputKind, constant: Constant) -> dict[str, Wrong]:
    fixed = of.wrong_always(request.truth, request.champion, constant)
    champion, challenger = (
        [of.wrong(t, a) for t, a in zip(request.truth, side, strict=True)]
        for side in (request.champion, request.challenger)
    )
    scale = of.scale(request.truth)
    return {
        name: Wrong(
            float(np.mean([row[name] for row in champion])),
            float(np.mean([row[name] for row in challenger])),
            float(np.mean(always)),
            scale,
        )
        for name, always in fixed.items()
    }


def _costs(
    request: Labelled, constant: Constant, costs: Mapping[str, Mapping[str, float]]
) -> Wrong:
    always = constant.cheapest(costs)
    truths = [class_key(t) for t in request.truth]
    sides = (
        (request.champion, request.champion_scores),
        (request.challenger, request.challenger_scores),
    )
    both = [
        np.mean([cost_of(costs, t, _acted(a, s, costs)) for t, a in zip(truths, side, strict=True)])
        for side, s in sides
    ]
    fixed = np.mean([0.0 if always is None else cost_of(costs, t, always) for t in truths])
    return Wrong(float(both[0]), float(both[1]), float(fixed))


def _acted(
    answer: Any, scores: Mapping[str, float] | None, costs: Mapping[str, Mapping[str, float]]
) -> str:
    """Return what is done upon an answer: itself, or of probabilities what they expect to cost least."""
    if not isinstance(answer, list | dict) or not scores:
        return class_key(answer)
    actions = dict.fromkeys(action for row in costs.values() for action in row)
    known = {key: p for key, p in scores.items() if key in costs}
    return min(actions, key=lambda a: sum(p * cost_of(costs, key, a) for key, p in known.items()))


def _own(request: Labelled, constant: Constant, own: Callable[[Any, Any], float]) -> Wrong:
    both = [
        float(np.mean([float(own(t, a)) for t, a in zip(request.truth, side, strict=True)]))
        for side in (request.champion, request.challenger)
    ]
    try:
        always = constant.own(own, request.truth)
    except BaseException:  # the function knows answers only, and no label is one
        always = nan
    return Wrong(both[0], both[1], always, scale=(always,))


def _scored(scores: Mapping[str, float], key: str) -> dict[str, float]:
    # Clipped, since a proof needs a bound on the loss.
    own = min(max(scores.get(key, 0.0), LEAST_PROBABILITY), 1 - LEAST_PROBABILITY)
    # A class that a version does not know has probability 0, and misses the truth by 1.
    squared = sum((p - (name == key)) ** 2 for name, p in scores.items()) + (key not in scores)
    return {"brier": squared / 2, "log_loss": -log(own)}
