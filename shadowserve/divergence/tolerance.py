"""The tolerance within which two numbers agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Two numbers agree if |a - b| <= absolute + relative * max(|a|, |b|).

    Unlike `numpy.isclose` it does not matter which side is which.
    """

    relative: float = 1e-6
    absolute: float = 1e-9

    def within(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Whether finite numbers agree: ndarray of bool of the shape of `a`."""
        largest = np.maximum(np.abs(a), np.abs(b))
        # halves, so that two numbers of opposite sign near the largest float do not overflow
        apart = np.abs(a / 2 - b / 2)
        return np.asarray(apart <= self.absolute / 2 + self.relative * (largest / 2))


DEFAULT_TOLERANCE = Tolerance()
