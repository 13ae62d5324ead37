"""Epochs of paired bursts: when they are judged, over which stretches of time, and at which share of alpha."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from math import ceil, pi, sqrt
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student

STRETCHES = 8
GROWTH = 1.4
# Eight means cannot tell a correlation near 1, where the factor would be infinite.
_MOST_ALIKE = 0.7
# Eight equal means do not prove that there is no noise.
_LEAST_VARIANCE = 1e-8
FloatArray = NDArray[np.float64]


def epochs(n_bursts: int) -> list[int]:
    """Return after how many bursts one looks, up to a number.

    Examples
    --------
    >>> epochs(50)
    [8, 12, 17, 24, 34, 48]
    """
    found, at = [], STRETCHES
    while at <= n_bursts:
        found.append(at)
        at = ceil(at * GROWTH)
    return found


def spent(alpha: float, epoch: int) -> float:
    """Return what the `epoch`-th look, from 1, may spend of alpha: all of them together spend it."""
    # The sum of 1 / k ** 2 over all k is pi ** 2 / 6.
    return alpha * 6 / (pi * epoch) ** 2


def deviation(stretches: ArrayLike) -> float:
    """Return the standard error of the mean of eight stretches whose neighbours may be alike.

    Their variance counts (1 + r) / (1 - r) times, r the correlation of neighbours, corrected for its
    bias (M. Kendall 1954, "Note on bias in the estimation of autocorrelation", Biometrika 41).
    """
    means = np.asarray(stretches, dtype=np.float64)
    apart = means - means.mean()
    # Equal means have no correlation, and must not divide by zero.
    raw = float(apart[1:] @ apart[:-1]) / max(float(apart @ apart), 1e-300)
    alike = min(max(raw + (1 + 4 * raw) / means.size, 0.0), _MOST_ALIKE)
    variance = max(float(means.var(ddof=1)) * (1 + alike) / (1 - alike), _LEAST_VARIANCE)
    return sqrt(variance / means.size)


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one look saw, enough to judge it by any limit.

    Parameters
    ----------
    number : int
        From 1.
    n_bursts : int
        Bursts so far.
    levels : tuple of float
        Mean of the bursts' observations in each of eight stretches, oldest first.
    control_ms, challenger_ms : tuple of float
        Sums of the pairs' times in each stretch.
    most : tuple of (float, float)
        Control's and challenger's times of the two pairs that took longest, of all so far.
    works : tuple of float
        Mean of the bursts' median logarithm of the two times by themselves, in each stretch.
    """

    number: int
    n_bursts: int
    levels: tuple[float, ...]
    control_ms: tuple[float, ...] = ()
    challenger_ms: tuple[float, ...] = ()
    most: tuple[tuple[float, float], ...] = ()
    works: tuple[float, ...] = ()

    def to_row(self) -> list[Any]:
        """Return it as JSON-able values, in the order of its fields."""
        return list(astuple(self))

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Self:
        """Read what `to_row` wrote."""
        number, n_bursts, levels, control, challenger, most, works = row
        pairs = tuple((a, b) for a, b in most)
        sums = tuple(control), tuple(challenger)
        return cls(number, n_bursts, tuple(levels), *sums, pairs, tuple(works))

    @property
    def level(self) -> float:
        """The estimate: the mean of the stretches."""
        return float(np.mean(self.levels))

    def above(self, alpha: float) -> float:
        """Return the lower bound of the level: Student's t, and at most the lowest stretch."""
        half = float(student.ppf(1 - spent(alpha, self.number), STRETCHES - 1))
        # Slower must show in every stretch: a mood of the machine may fill some of them, not all.
        return min(self.level - half * deviation(self.levels), *self.levels)

    def below(self, alpha: float) -> float:
        """Return the upper bound of the level, by Student's t."""
        half = float(student.ppf(1 - spent(alpha, self.number), STRETCHES - 1))
        return self.level + half * deviation(self.levels)


def look(number: int, bursts: FloatArray, most: Sequence[tuple[float, float]] = ()) -> Epoch:
    """Cut bursts into eight stretches of time.

    Parameters
    ----------
    number : int
        Of the epoch, from 1.
    bursts : ndarray of shape (n_bursts, 6)
        Arrival, how many bursts are joined, observation, sums of the control's and the challenger's
        times, and the observation without the server's part. In any order, eight bursts at least.
    most : sequence of (float, float)
        As in `Epoch`.
    """
    rows = bursts[np.argsort(bursts[:, 0], kind="stable")]
    ends = np.cumsum(rows[:, 1])
    n_bursts = float(ends[-1])
    kept = n_bursts // STRETCHES * STRETCHES  # the oldest that do not fill a stretch are left out
    # Joined bursts lie in the stretch of their middle.
    middle = ends - rows[:, 1] / 2 - (n_bursts - kept)
    of = np.clip((middle * STRETCHES / kept).astype(np.int64), 0, STRETCHES - 1)
    parts = [rows[(of == part) & (middle > 0)] for part in range(STRETCHES)]
    return Epoch(
        number,
        int(n_bursts),
        tuple(float(np.average(part[:, 2], weights=part[:, 1])) for part in parts),
        tuple(float(part[:, 3].sum()) for part in parts),
        tuple(float(part[:, 4].sum()) for part in parts),
        tuple(most),
        tuple(float(np.average(part[:, 5], weights=part[:, 1])) for part in parts),
    )
