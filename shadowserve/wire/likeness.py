"""The likeness of two answers, as JSON values: one law for every comparison of a version with itself.

Across sizes of a batch floats agree within rtol 1e-9 and atol 1e-12, since BLAS sums in another
order. What is further apart, but no further than single precision rounds, is rounding: no neighbour's
value does that, yet the answer is not the one that was given alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Any

RELATIVE, ABSOLUTE = 1e-9, 1e-12
SINGLE_RELATIVE, SINGLE_ABSOLUTE = 1e-5, 1e-7

Leaf = tuple[str | int, ...]
"""Where a value stands in an answer: keys and places from the outside in."""


class Likeness(IntEnum):
    """How far apart two answers are; larger is further."""

    ALIKE = 0
    ROUNDED = 1
    APART = 2


def alike(left: Any, right: Any) -> bool:
    """Compare JSON values, floats within rtol 1e-9 and atol 1e-12."""
    if isinstance(left, float) and isinstance(right, float):
        return left == right or abs(left - right) <= ABSOLUTE + RELATIVE * abs(right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(alike, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(alike(left[k], right[k]) for k in left)
    return bool(left == right)


def apart(left: Any, right: Any) -> dict[Leaf, Likeness]:
    """Return where two answers are not alike, and how far apart they are there.

    Returns
    -------
    dict of place to Likeness
        Empty where they are alike. A place where the two have another shape stands for all within.

    Examples
    --------
    >>> apart({"y": 1.0, "low": 2.0}, {"y": 1.0, "low": 2.5})
    {('low',): <Likeness.APART: 2>}
    >>> apart([1.0], [1.000001])
    {(0,): <Likeness.ROUNDED: 1>}
    """
    return dict(_apart((), left, right))


def field_of(leaf: Leaf) -> Leaf:
    """Return which field of an answer a place belongs to, whatever the row.

    Examples
    --------
    >>> field_of((0, "low")), field_of(("low", 0)), field_of((0, 2))
    (('low',), ('low',), (2,))
    """
    names = tuple(part for part in leaf if isinstance(part, str))
    return names or leaf[1:]


def _apart(at: Leaf, left: Any, right: Any) -> Iterator[tuple[Leaf, Likeness]]:
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for place, (one, other) in enumerate(zip(left, right, strict=True)):
            yield from _apart((*at, place), one, other)
    elif isinstance(left, dict) and isinstance(right, dict) and left.keys() == right.keys():
        for key in left:
            yield from _apart((*at, key), left[key], right[key])
    elif not alike(left, right):
        yield at, Likeness.ROUNDED if _rounded(left, right) else Likeness.APART


def _rounded(left: Any, right: Any) -> bool:
    if not (isinstance(left, float) and isinstance(right, float)):
        return False
    return abs(left - right) <= SINGLE_ABSOLUTE + SINGLE_RELATIVE * abs(right)
