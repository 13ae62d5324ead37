"""Which step of featurization carries a difference: each swapped alone, in both versions.

Names only propose which step answers to which. What is measured is what happens when one version's step does its work
in the place of the other's; and what all of them together leave over is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from shadowserve.errors import ShadowserveError
from shadowserve.judgement.cause.cause import Carrier, Share, Side
from shadowserve.judgement.cause.naming import what
from shadowserve.judgement.cause.shares import Requests, inner, size
from shadowserve.judgement.cause.vectors import same
from shadowserve.scorer.apart import FEATURES, INPUT
from shadowserve.scorer.forms import in_form, table
from shadowserve.scorer.parts import Outline, Part

LEAST_SHARE = 0.02
"""A step that carries less is not named."""
MOST_STEPS = 24

Answers = Callable[..., list[np.ndarray] | None]


def carriers(
    sides: tuple[Side, Side],
    outlines: tuple[Outline, Outline],
    names: tuple[str, str],
    answers: Answers,
    requests: Requests,
) -> tuple[tuple[Carrier, ...], Share | None]:
    """Return the steps that carry what features carry, and what they leave over as a share of it.

    Returns
    -------
    tuple of Carrier, Share or None
        Without a share there was nothing to swap.
    """
    features = [one.value(FEATURES, {}) for one in sides]
    whole = _whole(answers, features)
    if whole is None:
        return (), None
    total, apart = whole
    found, parts = [], np.zeros_like(total)
    for step, other in _pairs(outlines)[:MOST_STEPS]:
        swapped = _swapped(sides, answers, step, other)
        if swapped is None:
            continue
        part, outputs = swapped
        parts += part
        share = requests.share(inner(part, apart), inner(apart, apart))
        if abs(share.value) >= LEAST_SHARE:
            told = what(
                step, other, outputs, names=names, given=sides[0].value(f"into:{step.name}", {})
            )
            found.append(Carrier(step.name, step.columns, share, told))
    typed = _typed_otherwise(sides, answers)
    if typed is not None:
        part, columns = typed
        parts += part
        share = requests.share(inner(part, apart), inner(apart, apart))
        found.append(
            Carrier(INPUT, columns, share, f"{names[1]}'s signature types these columns otherwise")
        )
    found.sort(key=lambda one: -abs(one.share.value))
    return tuple(found), requests.share(size(total - parts), size(total))


def _whole(answers: Answers, features: Sequence[Any]) -> tuple[np.ndarray, np.ndarray] | None:
    """Return what all new features together change, and the whole divergence."""
    given: list[tuple[int, Mapping[str, Any]]] = []
    own = table(features[0])
    if own is not None and own.shape == getattr(table(features[1]), "shape", None):
        given = [
            (0, {FEATURES: in_form(features[0], features[1])}),
            (1, {FEATURES: in_form(features[1], features[0])}),
        ]
    try:
        found = answers(*given)
    except ShadowserveError:
        return None
    if found is None:
        return None
    apart = found[1] - found[0]
    if len(found) == 2:
        return apart, apart
    return ((found[2] - found[0]) + (found[1] - found[3])) / 2, apart


def _pairs(outlines: tuple[Outline, Outline]) -> list[tuple[Part, Part]]:
    """Propose which steps answer to each other and may differ: by name, else by what they are made of and read."""
    own, other = outlines
    free = {one.name: one for one in other.steps}
    pairs = [(one, free.pop(one.name)) for one in own.steps if one.name in free]
    taken = {one.name for one, _ in pairs}
    for one in own.steps:
        if one.name in taken:
            continue
        alike = (t for t in free.values() if (t.made_of, t.columns) == (one.made_of, one.columns))
        found = next(alike, None)
        if found is not None:
            pairs.append((one, free.pop(found.name)))
    return [(a, b) for a, b in pairs if a.digest is None or a.digest != b.digest]


def _swapped(
    sides: tuple[Side, Side], answers: Answers, step: Part, other: Part
) -> tuple[np.ndarray, tuple[Any, Any]] | None:
    """Return what one step alone changes, the mean of both ways, and what both make of the champion's input to it."""
    try:
        here, there = f"into:{step.name}", f"into:{other.name}"
        ours, theirs = f"of:{step.name}", f"of:{other.name}"
        into = (sides[0].value(here, {}), sides[1].value(there, {}))
        own = (sides[0].value(ours, {}), sides[1].value(theirs, {}))
        # Each step, handed what the other version's is handed.
        made = (
            sides[1].value(theirs, {there: in_form(into[1], into[0])}),
            sides[0].value(ours, {here: in_form(into[0], into[1])}),
        )
        if getattr(made[0], "shape", None) != getattr(own[0], "shape", None):
            return None
        found = answers(
            (0, {ours: in_form(own[0], made[0])}), (1, {theirs: in_form(own[1], made[1])})
        )
    except ShadowserveError:
        return None
    if found is None:
        return None
    return ((found[2] - found[0]) + (found[1] - found[3])) / 2, (own[0], made[0])


def _typed_otherwise(
    sides: tuple[Side, Side], answers: Answers
) -> tuple[np.ndarray, tuple[str, ...]] | None:
    """Return what comes of typing alone, where both versions' typed rows differ."""
    own, other = (one.value(INPUT, {}) for one in sides)
    if not isinstance(own, pd.DataFrame) or not isinstance(other, pd.DataFrame):
        return None
    both = [name for name in own.columns if name in other.columns]
    columns = tuple(str(name) for name in both if not _is_same(own[name], other[name]))
    if not columns or list(own.columns) != list(other.columns):
        return None
    try:
        found = answers((0, {INPUT: other}), (1, {INPUT: own}))
    except ShadowserveError:
        return None
    if found is None:
        return None
    return ((found[2] - found[0]) + (found[1] - found[3])) / 2, columns


def _is_same(a: pd.Series, b: pd.Series) -> bool:
    one, other = table(a), table(b)
    if one is None or other is None:
        return bool(a.astype(object).fillna("").equals(b.astype(object).fillna("")))
    return bool(same(one, other).all())
