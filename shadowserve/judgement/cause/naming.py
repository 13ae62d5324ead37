"""What about a step is another: said by its fitted state, and by what it makes of the same input."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from shadowserve.judgement.cause.cause import listed
from shadowserve.judgement.cause.vectors import same
from shadowserve.legible import counted
from shadowserve.scorer.forms import table
from shadowserve.scorer.parts import Part

HOURS = 24.0


def what(
    step: Part, other: Part, outputs: tuple[Any, Any], *, names: tuple[str, str], given: Any
) -> str:
    """Say how two versions of a step differ; of learnt values only how many, never which.

    Parameters
    ----------
    step, other : Part
        The champion's and the challenger's.
    outputs : tuple
        What each makes of the same input.
    given : object
        That input.
    """
    told = [*_imputation(step, other, names), *_categories(step, other, names)]
    told = told or list(_relation(outputs, names))
    told += _params(step, other, told)
    where = _where_missing(outputs, given)
    if where and not told:
        told = ["what stands in for missing values"]
    if not told:
        learnt = [k for k, v in step.fitted.items() if other.fitted.get(k, v) != v]
        told = [f"the same kind of step, with another {listed(learnt)}" if learnt else "its code"]
    return "; ".join(told) + where


def _imputation(step: Part, other: Part, names: tuple[str, str]) -> Iterator[str]:
    if not all(one.made_of.endswith("SimpleImputer") for one in (step, other)):
        return
    ways = [_way(one) for one in (step, other)]
    if ways[0] != ways[1]:
        yield f"missing values are filled with {ways[1]} by {names[1]}, with {ways[0]} by {names[0]}"
    elif step.facts.get("statistics_") != other.facts.get("statistics_"):
        yield f"missing values are filled with {ways[1]} of other training data"


def _way(part: Part) -> str:
    strategy = part.params.get("strategy")
    if strategy != "constant":
        return f"the {str(strategy).replace('_', ' ')}"
    value = part.params.get("fill_value")
    return (
        "0" if value is None else f"{value:g}" if isinstance(value, int | float) else "a constant"
    )


def _categories(step: Part, other: Part, names: tuple[str, str]) -> Iterator[str]:
    own, theirs = step.facts.get("categories_"), other.facts.get("categories_")
    own = own or step.facts.get("vocabulary_")
    theirs = theirs or other.facts.get("vocabulary_")
    if not own or not theirs or own == theirs or len(own) != len(theirs):
        return
    gone = sum(len(set(map(str, a)) - set(map(str, b))) for a, b in zip(own, theirs, strict=True))
    new = sum(len(set(map(str, b)) - set(map(str, a))) for a, b in zip(own, theirs, strict=True))
    if gone:
        yield f"{names[1]} does not know {_number(gone)} that {names[0]} knows"
    if new:
        yield f"{names[1]} knows {_number(new)} that {names[0]} does not"
    if not gone and not new:
        yield "the same categories have other codes"


def _number(n: int) -> str:
    return counted(n, "category", "categories")


def _relation(outputs: tuple[Any, Any], names: tuple[str, str]) -> Iterator[str]:
    """Say how one output follows from the other, where it does on every row."""
    own, other = (table(one) for one in outputs)
    if own is None or other is None or own.shape != other.shape:
        return
    for at in range(own.shape[1]):
        a, b = own[:, at], other[:, at]
        known = np.isfinite(a) & np.isfinite(b)
        a, b = a[known], b[known]
        if len(a) < 3 or np.ptp(a) == 0 or same(a, b).all():
            continue
        telling = a != 0
        ratio = float(np.median(b[telling] / a[telling]))
        apart = np.unique(np.round(b - a, 9))
        if same(a * ratio, b).all():
            yield f"a unit: {names[1]} gives {ratio:g} times what {names[0]} gives"
        elif len(apart) == 2 and np.isclose(apart[1] - apart[0], HOURS) and np.ptp(a) < HOURS:
            shift = apart[np.abs(apart).argmin()]
            yield f"a clock's zone: {names[1]}'s hours are {abs(shift):g} {'later' if shift > 0 else 'earlier'}, around the clock"
        elif len(apart) == 1:
            yield f"{names[1]} gives {abs(apart[0]):g} {'more' if apart[0] > 0 else 'less'} than {names[0]} on every row"
        else:
            slope, level = np.polyfit(a, b, 1)
            if np.allclose(a * slope + level, b, rtol=1e-6, atol=1e-9 * np.ptp(b)):
                yield f"another scale: {names[1]} gives {slope:.4g} times what {names[0]} gives, and {level:+.4g}"
        return


def _params(step: Part, other: Part, told: list[str]) -> list[str]:
    if step.made_of != other.made_of:
        return [
            f"a {other.made_of.rpartition('.')[2]} instead of a {step.made_of.rpartition('.')[2]}"
        ]
    imputes = step.made_of.endswith("SimpleImputer")
    changed = [
        f"{name} {other.params[name]} instead of {value}"
        for name, value in step.params.items()
        if name in other.params and _differ(value, other.params[name]) and not (imputes and told)
    ]
    return [listed(changed)] if changed else []


def _differ(a: Any, b: Any) -> bool:
    return not (a == b or (a != a and b != b))


def _where_missing(outputs: tuple[Any, Any], given: Any) -> str:
    """Say that the outputs differ only where an input is missing, if that is so."""
    own, other = (table(one) for one in outputs)
    frame = pd.DataFrame(given.to_numpy() if isinstance(given, pd.DataFrame) else table(given))
    if own is None or other is None or own.shape != other.shape or len(frame) != len(own):
        return ""
    missing = frame.isna().to_numpy().any(axis=1)
    differing = ~same(own, other)
    if not differing.any() or (differing & ~missing).any():
        return ""
    return f" (they differ only where the input is missing: {counted(int(differing.sum()), 'row')})"
