"""Running moments of one number, and of two numbers side by side.

Means and variances are kept by the pairwise update of Chan, Golub & LeVeque (1979, "Updating
formulae and a pairwise algorithm for computing sample variances", equations 2.1). It loses no
digits where the mean is large beside the spread.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from shadowserve.statistics.tally.state import State, checked, finite, labelled

# squares, and sums of squares, of what is kept must stay finite
_LARGEST = 1e100


@dataclass(slots=True)
class Moments:
    """Count, mean, spread and extremes of a stream of numbers.

    Weights are inverse inclusion probabilities: a row that stood for ten counts ten times in the
    mean. `n` counts rows, `n_effective` says how many equally weighted rows know as much (Kish 1965).
    NaN and infinities are left out and counted in `skipped`; numbers beyond 1e100 count as 1e100.

    >>> m = Moments()
    >>> m.add(np.array([1.0, 2.0, 6.0, np.nan]))
    >>> m.n, m.mean, m.skipped
    (3, 3.0, 1)
    """

    n: int = 0
    skipped: int = 0
    weight: float = 0.0
    weight_squared: float = 0.0
    mean: float = 0.0
    squares: float = 0.0
    low: float = math.inf
    high: float = -math.inf

    def add(self, values: np.ndarray, weights: np.ndarray | None = None) -> None:
        """Take a batch.

        Parameters
        ----------
        values : ndarray of shape (n_rows,)
        weights : ndarray of shape (n_rows,), optional
            Inverse inclusion probabilities, above 0; all 1 if left out.
        """
        known = np.isfinite(values)
        if not known.all():
            self.skipped += int(values.size - known.sum())
            values = values[known]
            weights = None if weights is None else weights[known]
        if values.size:
            self._join(_batch_moments(np.clip(values, -_LARGEST, _LARGEST), weights))

    def _join(self, other: Moments) -> None:
        total = self.weight + other.weight
        delta = other.mean - self.mean
        self.squares += other.squares + delta * delta * (self.weight * other.weight / total)
        self.mean += delta * (other.weight / total)
        self.weight = total
        self.weight_squared += other.weight_squared
        self.n += other.n
        self.low = min(self.low, other.low)
        self.high = max(self.high, other.high)

    @property
    def n_effective(self) -> float:
        """Kish's effective number of observations: (sum of weights)² / sum of squared weights."""
        return self.weight**2 / self.weight_squared if self.n else 0.0

    @property
    def variance(self) -> float:
        """Weighted variance with denominator n - 1 scaled to weights; NaN below two rows."""
        if self.n < 2:
            return math.nan
        return self.squares / self.weight * self.n / (self.n - 1)

    def summary(self) -> dict[str, Any]:
        """Return n, n_effective, mean, std, min, max and skipped; None where unknown."""
        return {
            "n": self.n,
            "n_effective": finite(self.n_effective),
            "mean": finite(self.mean) if self.n else None,
            "std": finite(math.sqrt(self.variance)),
            "min": finite(self.low),
            "max": finite(self.high),
            "skipped": self.skipped,
        }

    def state(self) -> State:
        """Return the eight running numbers."""
        return labelled(
            "moments",
            n=self.n,
            skipped=self.skipped,
            sums=[self.weight, self.weight_squared, self.mean, self.squares],
            range=[self.low, self.high] if self.n else None,
        )

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Read back what `state` wrote."""
        s = checked(state, "moments")
        low, high = s["range"] or (math.inf, -math.inf)
        weight, weight_squared, mean, squares = s["sums"]
        return cls(s["n"], s["skipped"], weight, weight_squared, mean, squares, low, high)


def _batch_moments(values: np.ndarray, weights: np.ndarray | None) -> Moments:
    low, high = float(values.min()), float(values.max())
    if weights is None:
        mean = float(values.mean())
        squares = float(np.square(values - mean).sum())
        return Moments(values.size, 0, values.size, values.size, mean, squares, low, high)
    weight = float(weights.sum())
    mean = float((weights * values).sum() / weight)
    squares = float((weights * np.square(values - mean)).sum())
    spent = float(np.square(weights).sum())
    return Moments(values.size, 0, weight, spent, mean, squares, low, high)


@dataclass(slots=True)
class Pairs:
    """Running covariance and correlation of two numbers.

    Rows where either is NaN or infinite are left out; numbers beyond 1e100 count as 1e100.

    >>> p = Pairs()
    >>> p.add(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0]))
    >>> round(p.summary()["correlation"], 12)
    1.0
    """

    n: int = 0
    mean_x: float = 0.0
    mean_y: float = 0.0
    xx: float = 0.0
    yy: float = 0.0
    xy: float = 0.0

    def add(self, x: np.ndarray, y: np.ndarray) -> None:
        """Take a batch of two ndarrays of shape (n_rows,)."""
        known = np.isfinite(x) & np.isfinite(y)
        x, y = (np.clip(side[known], -_LARGEST, _LARGEST) for side in (x, y))
        if x.size == 0:
            return
        mean_x, mean_y = float(x.mean()), float(y.mean())
        dx, dy = x - mean_x, y - mean_y
        self._join(
            Pairs(x.size, mean_x, mean_y, float(dx @ dx), float(dy @ dy), float(dx @ dy)),
        )

    def _join(self, other: Pairs) -> None:
        total = self.n + other.n
        dx, dy = other.mean_x - self.mean_x, other.mean_y - self.mean_y
        share = self.n * other.n / total
        self.xx += other.xx + dx * dx * share
        self.yy += other.yy + dy * dy * share
        self.xy += other.xy + dx * dy * share
        self.mean_x += dx * other.n / total
        self.mean_y += dy * other.n / total
        self.n = total

    def summary(self) -> dict[str, Any]:
        """Return n, covariance and correlation (Pearson); None where a side does not vary."""
        covariance = finite(self.xy / (self.n - 1)) if self.n > 1 else None
        correlation = None
        if _varies(self.xx, self.mean_x, self.n) and _varies(self.yy, self.mean_y, self.n):
            # One root at a time: the product of the two sums may overflow.
            ratio = self.xy / math.sqrt(self.xx) / math.sqrt(self.yy)
            correlation = finite(max(-1.0, min(1.0, ratio)))
        return {"n": self.n, "covariance": covariance, "correlation": correlation}

    def state(self) -> State:
        """Return the six running numbers."""
        sums = [self.mean_x, self.mean_y, self.xx, self.yy, self.xy]
        return labelled("pairs", n=self.n, sums=sums)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Read back what `state` wrote."""
        s = checked(state, "pairs")
        return cls(s["n"], *s["sums"])


def _varies(squares: float, mean: float, n: int) -> bool:
    """Whether a spread is more than the rounding of equal numbers leaves behind."""
    # A mean of equal numbers is off in its last digit, so their squares are not quite 0.
    return n > 1 and math.sqrt(squares / n) > 1e-12 * abs(mean)
