"""Lists of ids as integer codes, so that whole batches of lists can be compared at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from shadowserve.divergence.align import Type, type_of
from shadowserve.statistics.tally.keys import as_key, one_simple_type

_SIMPLE = ({int}, {str})


def code_lists(
    champion: Sequence[Sequence[Any]], lane: Sequence[Sequence[Any]]
) -> tuple[np.ndarray, np.ndarray]:
    """Give each distinct item a number, the same on both sides.

    Returns
    -------
    champion, lane : ndarray of shape (n_rows, longest list), int64
        Codes from 0; -1 after the end. An item named twice in a list keeps its first place.
    """
    # One table for both sides: equal codes then mean equal items.
    numbers: dict[Any, int] = {}
    coded = [[_code(row, numbers) for row in side] for side in (champion, lane)]
    width = max((len(row) for side in coded for row in side), default=0)
    first, second = (_block(side, width) for side in coded)
    return first, second


def _code(row: Sequence[Any], numbers: dict[Any, int]) -> list[int]:
    keys = row if one_simple_type(row) else map(as_key, row)
    codes = [numbers.setdefault(key, len(numbers)) for key in keys]
    # A list that names an item twice has it at its first place, as a reader meets it.
    return codes if len(set(codes)) == len(codes) else list(dict.fromkeys(codes))


def item_structure(
    champion: Sequence[Any], lane: Sequence[Any], listed: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Look at the types of the items in lists.

    Returns
    -------
    differs : ndarray of bool, shape (n_rows,)
        The two lists hold items of different types, nulls aside.
    champion_null, lane_null : ndarray of bool, shape (n_rows,)
        The list holds a null.
    """
    nothing = np.zeros(listed.size, dtype=bool)
    seen = [
        {type(item) for row in side if type(row) is list for item in row}
        for side in (champion, lane)
    ]
    # Ids of one simple type on both sides: the loop over rows would find nothing.
    if seen[0] == seen[1] and seen[0] in _SIMPLE:
        return nothing, nothing, nothing
    differs, champion_null, lane_null = nothing.copy(), nothing.copy(), nothing.copy()
    for i in np.flatnonzero(listed).tolist():
        a, b = _item_types(champion[i]), _item_types(lane[i])
        # An empty list has no types, and differs from none.
        differs[i] = bool(a and b) and a - {Type.NULL} != b - {Type.NULL}
        champion_null[i], lane_null[i] = Type.NULL in a, Type.NULL in b
    return differs, champion_null, lane_null


def _item_types(row: Sequence[Any]) -> set[Type]:
    return {type_of(item) for item in row}


def _block(side: Iterable[list[int]], width: int) -> np.ndarray:
    rows = list(side)
    if any(len(row) != width for row in rows):
        rows = [row + [-1] * (width - len(row)) for row in rows]
    return np.array(rows, dtype=np.int64).reshape(len(rows), width)
