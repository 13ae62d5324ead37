"""Why one request is answered differently: the smallest change from a similar one on which both versions agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from shadowserve.judgement.cause.cause import Side
from shadowserve.judgement.cause.vectors import same, vectors
from shadowserve.scorer.apart import INPUT

MOST_NEIGHBOURS = 5
MOST_TOGETHER = 600
"""Combinations of columns that are tried for one neighbour."""
PARTS = 0.5
"""Of the request's own divergence: as much of it, and the versions have parted."""
AGREES = 0.05


@dataclass(frozen=True, slots=True)
class Nearest:
    """The smallest change of inputs that was found.

    Parameters
    ----------
    like : int
        The row of the similar request that both versions answer alike.
    columns : tuple of str
        What of it must become the request's own, and the versions part.
    smallest : bool
        Whether every smaller change from this row was tried.
    """

    like: int
    columns: tuple[str, ...]
    smallest: bool

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {**asdict(self), "columns": list(self.columns)}


def nearest(
    champion: Side, challenger: Side, row: int, *, classes: Sequence[Any], among: Sequence[int]
) -> Nearest | None:
    """Return what makes the versions part on a row.

    Parameters
    ----------
    row : int
        Which of the sides' rows.
    classes : (sequence or None, sequence or None)
        Each side's classes.
    among : sequence of int
        Rows of other requests.

    Returns
    -------
    Nearest or None
        None where they agree on the row, or no other row is like it and agreed on.
    """
    sides = (champion, challenger)
    frames = [one.value(INPUT, {}) for one in sides]
    if not all(isinstance(one, pd.DataFrame) for one in frames):
        return None
    own = _apart(sides, frames, classes)
    if own is None or not own[row] > 0:
        return None
    agreed = [at for at in among if at != row and own[at] <= AGREES * own[row]]
    best: Nearest | None = None
    for like in _closest(frames[0], row, agreed)[:MOST_NEIGHBOURS]:
        differing = [name for name in frames[0].columns if _differs(frames[0][name], row, like)]

        def parts(sets: Sequence[Sequence[Any]], like: int = like) -> np.ndarray:
            mixed = [_mixed(one, row, like, sets) for one in frames]
            found = _apart(sides, mixed, classes)
            return np.zeros(len(sets), bool) if found is None else found >= PARTS * own[row]

        found = _smallest(differing, parts)
        if found and (best is None or len(found[0]) < len(best.columns)):
            best = Nearest(like, tuple(map(str, found[0])), found[1])
    return best


def _apart(
    sides: Sequence[Side], frames: Sequence[pd.DataFrame], classes: Sequence[Any]
) -> np.ndarray | None:
    """Return how far the answers to each row lie apart; 0 where they are the same."""
    answers = [side.answers({INPUT: frame}) for side, frame in zip(sides, frames, strict=True)]
    laid = vectors(answers, classes)
    if laid is None:
        return None
    one, other = laid[0]
    return np.where(same(one, other), 0.0, np.abs(one - other).sum(axis=1))


def _smallest(
    differing: Sequence[Any], parts: Callable[[Sequence[Sequence[Any]]], np.ndarray]
) -> tuple[tuple[Any, ...], bool] | None:
    """Return the smallest set of columns that makes the versions part, and whether all smaller ones were tried."""
    tried = 0
    for n in range(1, len(differing) + 1):
        sets = list(combinations(differing, n))
        tried += len(sets)
        if tried > MOST_TOGETHER:
            break
        found = np.flatnonzero(parts(sets))
        if len(found):
            return sets[int(found[0])], True
    # One after another is left out for as long as they part without it.
    kept = tuple(differing)
    if not kept or not parts([kept])[0]:
        return None
    for name in differing:
        fewer = tuple(one for one in kept if one != name)
        if fewer and parts([fewer])[0]:
            kept = fewer
    return kept, False


def _mixed(frame: pd.DataFrame, row: int, like: int, sets: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """Return one row for each set: the similar row, with the set's columns from the request itself."""
    made = {
        name: frame[name]
        .iloc[[row if name in own else like for own in sets]]
        .reset_index(drop=True)
        for name in frame.columns
    }
    return pd.DataFrame(made)


def _closest(frame: pd.DataFrame, row: int, others: Sequence[int]) -> list[int]:
    """Return other rows, those first that differ in the fewest columns, and least in numbers."""
    if not others:
        return []
    places = list(others)
    apart = np.zeros(len(places))
    for name in frame.columns:
        own = frame[name]
        differs = np.array([_differs(own, row, at) for at in places])
        apart += differs
        if own.dtype.kind in "iuf":
            # Ranks need no scale.
            ranks = own.rank(pct=True).to_numpy()
            apart += (
                differs * np.nan_to_num(np.abs(ranks[places] - ranks[row]), nan=1.0) - differs / 2
            )
    return [places[at] for at in np.argsort(apart, kind="stable")]


def _differs(own: pd.Series, row: int, other: int) -> bool:
    a, b = own.iloc[row], own.iloc[other]
    if isinstance(a, float) and isinstance(b, float) and np.isnan(a) and np.isnan(b):
        return False
    return not bool(np.all(a == b)) if not (a is None and b is None) else False
