"""How wrong each version was on one request, and how wrong the constant answer would have been."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, log, nan
from typing import Any, NamedTuple

import numpy as np

from shadowserve.divergence import Kind
from shadowserve.labels.constant import Constant, cost_of
from shadowserve.labels.terms import Terms
from shadowserve.labels.typed import class_key

LEAST_PROBABILITY = 1e-3
OWN, COST, RANK = "own", "cost", "rank"
Rule = Callable[[Any, Any], dict[str, float]]
BOUNDS: Mapping[str, float] = {
    "error": 1.0, "brier": 1.0, "log_loss": -log(LEAST_PROBABILITY), "miss": 1.0, "rank_loss": 1.0,
    RANK: 1.0,
}  # fmt: skip
"""The most that a loss can be, where it has a bound of its own."""

_DECISIVE = {
    Kind.LABEL: "error",
    Kind.PROBABILITY: "brier",
    Kind.NUMBER: "absolute_error",
    Kind.RANKING: "miss",
    Kind.SET: "miss",
}


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
        Keys as in `typed.class_key`; None where one was not computed.
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


def decisive(kind: Kind | None, terms: Terms) -> str | None:
    """Return the measure that a verdict rests on; None for kinds of output that have none."""
    if kind is None:
        return None
    if ":" in terms.chosen:
        return OWN
    return terms.chosen or (COST if terms.costs else _DECISIVE.get(kind))


def by_request(kind: Kind | None, terms: Terms) -> str | None:
    """Return the measure that each label has by itself: the decisive one, unless that ranks."""
    chosen = decisive(kind, terms)
    return chosen if chosen != RANK or kind is None else _DECISIVE.get(kind)


def losses_of(
    request: Labelled, kind: Kind, constant: Constant, terms: Terms, own: Any = None
) -> dict[str, Wrong]:
    """Return the losses of one request by measure, means over its rows.

    Probabilities give further measures where both versions' are known, and so does a function of the
    team's own.

    Parameters
    ----------
    constant : Constant
        Of the labels before this one; it is not changed, but for what its answers cost by `own`.
    """
    found = _of_answers(request, kind, constant)
    if terms.costs and kind in (Kind.LABEL, Kind.PROBABILITY):
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


def _of_answers(request: Labelled, kind: Kind, constant: Constant) -> dict[str, Wrong]:
    if kind is Kind.LABEL:
        always = constant.mode
        fixed = [float(always not in (None, class_key(t))) for t in request.truth]
        return _sides(_label, request, {"error": fixed})
    if kind is Kind.NUMBER:
        return _numbers(request, constant)
    if kind in (Kind.RANKING, Kind.SET):
        shown = [constant.items(len(a) if isinstance(a, list) else 1) for a in request.champion]
        rows = [_list(t, items) for t, items in zip(request.truth, shown, strict=True)]
        return _sides(
            _list, request, {name: [row[name] for row in rows] for name in ("miss", "rank_loss")}
        )
    return {}


def _numbers(request: Labelled, constant: Constant) -> dict[str, Wrong]:
    truths = tuple(map(_float, request.truth))
    middle, mean = constant.median, constant.mean
    fixed = {
        "absolute_error": [0.0 if middle is None else abs(t - middle) for t in truths],
        "squared_error": [0.0 if mean is None else (t - mean) ** 2 for t in truths],
    }
    found = _sides(_number, request, fixed)
    return {name: one._replace(scale=truths) for name, one in found.items()}


def _sides(rule: Rule, request: Labelled, fixed: Mapping[str, Sequence[float]]) -> dict[str, Wrong]:
    champion, challenger = (
        [rule(t, a) for t, a in zip(request.truth, side, strict=True)]
        for side in (request.champion, request.challenger)
    )
    return {
        name: Wrong(
            float(np.mean([row[name] for row in champion])),
            float(np.mean([row[name] for row in challenger])),
            float(np.mean(always)),
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


def _label(truth: Any, answer: Any) -> dict[str, float]:
    return {"error": float(class_key(truth) != class_key(answer))}


def _number(truth: Any, answer: Any) -> dict[str, float]:
    """Tell how far a number is off; NaN where there is none, which counts nowhere."""
    whole = type(answer) is int and type(truth) is int  # exactly, beyond 2^53 too
    apart = abs(_float(answer - truth)) if whole else abs(_float(answer) - _float(truth))
    return {"absolute_error": apart, "squared_error": apart**2}


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return nan


def _list(truth: Any, answer: Any) -> dict[str, float]:
    wanted = {class_key(item) for item in (truth if isinstance(truth, list) else [truth])}
    shown = [class_key(item) for item in (answer if isinstance(answer, list) else [answer])]
    ranks = [place for place, item in enumerate(shown, start=1) if item in wanted]
    missed = len(wanted - set(shown)) / max(1, len(wanted))
    return {"miss": missed, "rank_loss": 1 - 1 / ranks[0] if ranks else 1.0}


def _scored(scores: Mapping[str, float], key: str) -> dict[str, float]:
    own = min(max(scores.get(key, 0.0), LEAST_PROBABILITY), 1 - LEAST_PROBABILITY)
    squared = sum((p - (name == key)) ** 2 for name, p in scores.items()) + (key not in scores)
    return {"brier": squared / 2, "log_loss": -log(own)}
