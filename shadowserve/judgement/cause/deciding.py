"""The decision what carries a divergence: by fitted state where that settles it, else by crossing over; else nothing.

Nothing here knows how a version is loaded: it asks two sides, each of which may be a process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from shadowserve.errors import ShadowserveError
from shadowserve.judgement.cause.carrying import carriers
from shadowserve.judgement.cause.cause import (
    MOST_INTERACTION,
    Carrier,
    Cause,
    Kind,
    Share,
    Side,
    listed,
)
from shadowserve.judgement.cause.matching import Matched, matched
from shadowserve.judgement.cause.shares import Crossed, Requests, crossed, size
from shadowserve.judgement.cause.vectors import same, vectors
from shadowserve.judgement.cause.wording import (
    beyond_reach,
    carried_by,
    differing_steps,
    equal,
    of_estimators,
)
from shadowserve.legible import counted
from shadowserve.scorer.apart import FEATURES
from shadowserve.scorer.forms import in_form, replaced, table
from shadowserve.scorer.parts import Outline

LEAST_PART = 0.1
"""A part whose share is surely smaller is not named as a cause."""
MOST_NOISE = 0.1
LEAST_DIFFERING = 10
"""Rows; of fewer no interval says anything."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of the pair before anything is crossed."""

    names: tuple[str, str]
    sides: tuple[Side, Side]
    outlines: tuple[Outline, Outline]
    requests: Requests
    scores: bool
    base: Cause

    def answers(self, *given: tuple[int, Mapping[str, Any]]) -> list[np.ndarray] | None:
        """Return the versions' own answers, then those of a side that something is given to."""
        asked = [(0, {}), (1, {}), *given]
        outputs = [self.sides[at].answers(of, scores=self.scores) for at, of in asked]
        classes = [self.outlines[at].classes for at, _ in asked]
        laid = vectors(outputs, classes, scores=self.scores)
        return None if laid is None else laid[0]


def decide(
    champion: Side, challenger: Side, *, names: tuple[str, str], of_request: np.ndarray
) -> Cause:
    """Return what carries the divergence of two versions.

    Parameters
    ----------
    champion, challenger : Side
        Asked about the same rows.
    names : (str, str)
        Such as ``("v3", "v4")``.
    of_request : ndarray of shape (n_rows,), int
        Which request each row is of, from 0.
    """
    sides = (champion, challenger)
    outlines = (champion.outline(), challenger.outline())
    served = [one.answers({}) for one in sides for _ in "ab"]
    classes = [one.classes for one in outlines for _ in "ab"]
    laid = vectors(served, classes)
    if laid is None:
        return _unknown("Their answers are of a form that cannot be laid side by side as numbers.")
    (own, own_again, other, other_again), measure = laid
    differing = ~same(own, other)
    base = Cause(Kind.UNKNOWN, "", rows=len(own), differing=int(differing.sum()), measure=measure)
    if not differing.any():
        says = f"{names[0]} and {names[1]} answer all {counted(len(own), 'row')} alike."
        return replace(base, kind=Kind.NONE, says=says)
    noise = max(size(own - own_again).sum(), size(other - other_again).sum())
    if noise > MOST_NOISE * size(other - own).sum():
        return _unknown(
            "A version answers the same rows differently when asked again, so no part of the difference can be told "
            "from chance.",
            base,
        )
    whole = [
        f"{name} cannot be taken apart: {one.whole}"
        for name, one in zip(names, outlines, strict=True)
        if one.whole
    ]
    if whole:
        return _unknown("; ".join(whole) + ".", base)
    scores = all(one.has_scores for one in sides)
    known = _Known(names, sides, outlines, Requests(of_request), scores, base)
    if scores:
        known = replace(known, base=replace(base, measure="probabilities"))
    return _apart(known)


def _apart(known: _Known) -> Cause:
    features = [one.value(FEATURES, {}) for one in known.sides]
    own, other = (table(one) for one in features)
    if own is None or other is None:
        return _unknown("What their estimators are handed is no table of numbers.", known.base)
    laid = matched(own, other)
    alike = equal(*(one.estimator.digest if one.estimator else None for one in known.outlines))
    in_place = own.shape == other.shape and bool(same(own, other).all())
    if laid.is_same and not (alike and not in_place):
        return _weights(known, proven=equal(*(one.featurization for one in known.outlines)))
    if own.shape == other.shape and (alike or _act_alike(known, features)):
        order = " The columns of its features stand in another order." if laid.is_same else ""
        return _features(known, proven=alike, order=order)
    return _cross(known, features, laid)


def _weights(known: _Known, *, proven: bool) -> Cause:
    theirs = known.names[1]
    n = counted(known.base.rows, "row")
    why = (
        f"every step of their featurization is the same, and gives the same on all {n}"
        if proven
        else f"their features are the same on all {n}, though not every step is: on other rows they may differ"
    )
    says = f"New weights: {why}. What differs is {theirs}'s estimator{of_estimators(known.names, known.outlines)}."
    whole = Share(1.0, 1.0, 1.0)
    nothing = Share(0.0, 0.0, 0.0)
    return replace(
        known.base,
        kind=Kind.WEIGHTS,
        says=says,
        proven=proven,
        weights=whole,
        features=nothing,
        interaction=nothing,
    )


def _features(known: _Known, *, proven: bool, order: str) -> Cause:
    theirs = known.names[1]
    carried, rest = carriers(
        known.sides, known.outlines, known.names, known.answers, known.requests
    )
    why = (
        "their estimators are the same"
        if proven
        else f"on all {counted(known.base.rows, 'row')} their estimators answer alike what they are handed alike"
    )
    says = f"New features: {why}, and {theirs}'s is handed something else.{order or carried_by(carried, rest)}"
    whole, nothing = Share(1.0, 1.0, 1.0), Share(0.0, 0.0, 0.0)
    return replace(
        known.base, kind=Kind.FEATURES, says=says, proven=proven, features=whole, weights=nothing,
        interaction=nothing, carriers=_named(carried, rest),
    )  # fmt: skip


def _named(carried: tuple[Carrier, ...], rest: Share | None) -> tuple[Carrier, ...]:
    return carried if rest is None or rest.high <= MOST_INTERACTION else ()


def _act_alike(known: _Known, features: list[Any]) -> bool:
    """Whether both estimators answer alike, on the champion's features and on the challenger's."""
    try:
        answers = known.answers(
            (0, {FEATURES: in_form(features[0], features[1])}),
            (1, {FEATURES: in_form(features[1], features[0])}),
        )
    except ShadowserveError:
        return False
    if answers is None:
        return False
    own, other, crossed_over, back = answers
    return bool(same(own, back).all() and same(other, crossed_over).all())


def _cross(known: _Known, features: list[Any], laid: Matched) -> Cause:
    heeded = [
        _heeded(known, at, features[at], side)
        for at, side in enumerate((laid.champion, laid.challenger))
    ]
    if any(heeded):
        return _unmatched(known, heeded)
    mine, theirs = [a for a, _ in laid.pairs], [b for _, b in laid.pairs]
    try:
        given = (
            replaced(features[0], mine, features[1], theirs),
            replaced(features[1], theirs, features[0], mine),
        )
        answers = known.answers((0, {FEATURES: given[0]}), (1, {FEATURES: given[1]}))
    except (ShadowserveError, TypeError, ValueError):
        return _unknown("An estimator cannot take the other version's features.", known.base)
    if answers is None:
        return _unknown("Their answers cannot be laid side by side.", known.base)
    own, other, new_features, new_weights = answers
    found = crossed(
        own, other, new_features=new_features, new_weights=new_weights, requests=known.requests
    )
    measured = replace(
        known.base, features=found.features, weights=found.weights, interaction=found.interaction
    )
    if known.base.differing < LEAST_DIFFERING:
        few = f"They differ on {counted(known.base.differing, 'row')} only; of so few no share can be told."
        return replace(measured, says=few)
    if found.interaction.high > MOST_INTERACTION:
        return replace(
            measured,
            says="Not known: features and weights are both another and do not act apart; what neither carries alone is "
            f"{found.interaction} of the divergence, so no part of it is given to either.",
        )
    return _claimed(known, measured, found, laid)


def _claimed(known: _Known, measured: Cause, found: Crossed, laid: Matched) -> Cause:
    n, changed = len(laid.pairs), len(laid.changed)
    how = (
        f"crossed over, {counted(n, 'column')} of features matched by their values ({changed} of them changed on some "
        f"rows); {found.interaction} is carried by neither alone"
    )
    if found.features.high < LEAST_PART:
        return replace(
            measured, kind=Kind.WEIGHTS,
            says=f"New weights carry {found.weights} of the divergence{of_estimators(known.names, known.outlines)} ({how}).",
        )  # fmt: skip
    carried, rest = carriers(
        known.sides, known.outlines, known.names, known.answers, known.requests
    )
    told = replace(measured, carriers=_named(carried, rest))
    if found.weights.high < LEAST_PART:
        return replace(
            told, kind=Kind.FEATURES,
            says=f"New features carry {found.features} of the divergence ({how}).{carried_by(carried, rest)}",
        )  # fmt: skip
    return replace(
        told, kind=Kind.BOTH,
        says=f"Both: new features carry {found.features} of the divergence, new weights {found.weights} ({how})."
        f"{carried_by(carried, rest)}",
    )  # fmt: skip


def _heeded(known: _Known, at: int, features: Any, columns: tuple[int, ...]) -> list[int]:
    """Return the columns that have no counterpart and that the estimator heeds: other values there change an answer."""
    if not columns:
        return []
    own = table(features)
    if own is None:
        return list(columns)
    # Each row gets another's value; what is the same on every row gets 0.
    other = own[np.random.default_rng(20).permutation(len(own))]
    other[:, np.ptp(own, axis=0) == 0] = 0.0
    answers = known.answers((at, {FEATURES: replaced(features, columns, other, columns)}))
    alike = answers is not None and bool(same(answers[at], answers[2]).all())
    return [] if alike else list(columns)


def _unmatched(known: _Known, heeded: list[list[int]]) -> Cause:
    """Say which columns have no counterpart."""
    places = []
    for at, columns in enumerate(heeded):
        if columns:
            places.append(f"{counted(len(columns), 'column')} of {known.names[at]}'s features")
    differing = differing_steps(known.names, known.outlines)
    steps = f" Fitted otherwise: {listed(differing)}." if differing else ""
    return replace(
        known.base,
        says=f"Not known: features and estimator are both another, and for {' and '.join(places)} no counterpart is "
        "proven by values (a refit that the estimator learnt with, another unit and something new look alike)."
        f"{beyond_reach(known.names, known.outlines, known.sides[0])}{steps}",
        unmatched=tuple(differing),
    )


def _unknown(says: str, base: Cause | None = None) -> Cause:
    return Cause(Kind.UNKNOWN, says) if base is None else replace(base, says=says)
