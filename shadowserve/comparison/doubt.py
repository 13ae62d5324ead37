"""A request in doubt: the version differs from the champion on it, so it was scored a second time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shadowserve.schema.rows import Rows


@dataclass(frozen=True, slots=True)
class Doubt:
    """What a second scoring showed.

    Parameters
    ----------
    persisting : ndarray of shape (n_rows,), float64
        1 where the second answer lies nearer to the first than the champion's does, 0 where it does
        not, NaN where the first does not differ.
    """

    position: int
    rows: Rows
    persisting: np.ndarray
