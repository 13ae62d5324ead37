"""Rows of numbers as two matrices of one shape, whatever their lengths and holes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shadowserve.divergence.align import Aligned, Type, floats

_PLAIN = frozenset({int, float, type(None)})
"""Types that fit a matrix of floats. Not bool: true beside 1 is another type, hence a difference."""


@dataclass(frozen=True, slots=True)
class Paired:
    """Lists of numbers of both sides, laid out for measuring.

    Parameters
    ----------
    aligned : Aligned
        With uneven lengths and foreign items marked as structure, and nulls noted: what is not
        measured is settled there.
    measured : ndarray of bool, shape (n_rows,)
        Rows that are lists of numbers of one length, null in the same places if at all.
    champion, lane : ndarray of shape (n_rows, longest), float64
        Finite. Short rows are filled with zeros, as are places that are null on both sides and rows
        that are not measured.
    """

    aligned: Aligned
    measured: np.ndarray
    champion: np.ndarray
    lane: np.ndarray


def paired(aligned: Aligned) -> Paired:
    """Lay out the rows that are lists on both sides."""
    listed = aligned.comparable & (aligned.types == Type.LIST)
    champion_width, lane_width = (
        widths(aligned.champion, listed),
        widths(aligned.lane, listed),
    )
    # Lists of two lengths have no places to compare; they differ in structure, and take no room
    # here.
    even = listed & (champion_width == lane_width)
    width = int(champion_width[even].max(initial=0))
    a, a_foreign = _matrix(aligned.champion, even, width)
    b, b_foreign = _matrix(aligned.lane, even, width)
    # An item that is no number on both sides makes it a row that is judged by equality alone.
    numeric = even & ~a_foreign & ~b_foreign
    aligned = aligned.with_structure((listed & ~even) | (a_foreign ^ b_foreign))
    a_hole, b_hole = ~np.isfinite(a), ~np.isfinite(b)
    # Hardly any model answers nulls, and what follows copies both matrices.
    if not (a_hole.any() or b_hole.any()):
        return Paired(aligned, numeric, a, b)
    apart = numeric & (a_hole ^ b_hole).any(axis=1)
    # Alignment called these unequal, since a NaN equals nothing; here nulls in the same places are
    # equal.
    same = numeric & ~apart & ((a == b) | a_hole).all(axis=1)
    aligned = aligned.with_nulls(
        champion=numeric & a_hole.any(axis=1),
        lane=numeric & b_hole.any(axis=1),
        mismatch=apart,
        equal=same,
    )
    # Zero on both sides adds nothing to any distance, so no measure needs to know of holes.
    a[a_hole], b[b_hole] = 0.0, 0.0
    return Paired(aligned, numeric & ~apart, a, b)


def widths(outputs: Sequence[Any], listed: np.ndarray) -> np.ndarray:
    """Length of each row that is a list, else -1: ndarray of shape (n_rows,), int64."""
    found = [len(outputs[i]) if here else -1 for i, here in enumerate(listed.tolist())]
    return np.array(found, dtype=np.int64)


def _matrix(outputs: Sequence[Any], even: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows as a matrix, and which of them hold what is neither number nor null."""
    foreign = np.zeros(even.size, dtype=bool)
    blank = [0.0] * width
    # Rows that are not measured keep their place as zeros: indices then need no mapping.
    lists = [outputs[i] if here else blank for i, here in enumerate(even.tolist())]
    if any(len(one) != width for one in lists):
        lists = [[*one, *blank[len(one) :]] for one in lists]
    flat = [item for one in lists for item in one]
    if not _PLAIN.issuperset(map(type, flat)):
        foreign |= [not _PLAIN.issuperset(map(type, one)) for one in lists]
    return floats(flat).reshape(even.size, width), foreign
