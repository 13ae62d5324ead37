"""How numbers of both versions lie to each other: counts over a grid, of the latest requests."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Any

import numpy as np

N_BINS = 24
FEWEST = 20
"""Pairs below which a picture of a density would be one of chance."""


def joint(pairs: Iterable[tuple[Any, Any]]) -> dict[str, Any] | None:
    """Return counts of (champion, challenger) over a square grid; None where there are too few numbers.

    Parameters
    ----------
    pairs : iterable of pair
        What is no finite number on either side is left out.

    Returns
    -------
    dict or None
        ``n``; ``low`` and ``high``, the grid's ends on both axes, from the 0.5th to the 99.5th percentile
        of both sides; ``bins`` a side; ``cells``, each ``[column, row, count]`` from 0, columns of the
        champion's answer and rows of the challenger's. What lies beyond an end is in the cell at it.

    Examples
    --------
    >>> told = joint((float(i), float(i)) for i in range(100))
    >>> told["n"], told["cells"][0], told["cells"][-1]
    (100, [0, 0, 5], [23, 23, 5])
    """
    known = [(a, b) for a, b in pairs if _is_number(a) and _is_number(b)]
    if len(known) < FEWEST:
        return None
    sides = np.asarray(known, dtype=np.float64)
    low, high = (float(end) for end in np.quantile(sides, (0.005, 0.995)))
    if not high > low:
        # Beyond 2 ** 53 a half is lost in a number's rounding.
        half = max(0.5, 1e-6 * abs(low))
        low, high = low - half, high + half
    at = np.floor((np.clip(sides, low, high) - low) / (high - low) * N_BINS).astype(np.int64)
    places, counts = np.unique(np.minimum(at, N_BINS - 1), axis=0, return_counts=True)
    cells = [[*place, n] for place, n in zip(places.tolist(), counts.tolist(), strict=True)]
    return {"n": len(known), "low": low, "high": high, "bins": N_BINS, "cells": cells}


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e300 and isfinite(value)
