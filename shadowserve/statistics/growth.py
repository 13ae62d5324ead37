"""Cost against input size: what a featurization step will do at production's tail.

The median request is fine and a few long descriptions take the process down: no average shows it,
the exponent does. Each step is fitted, for each of its columns, as ``ms = fixed + c * size ** k``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student

from shadowserve.statistics.input_sizes import SizeCounts
from shadowserve.statistics.octaves import Octaves

FloatArray = NDArray[np.float64]

FEWEST_LARGE = 4
"""Large inputs from which growth counts: with two costs and an exponent fitted, three fit anything."""

SUPERLINEAR = 1.3
"""Exponent that the interval's lower end must pass. Sorting stays below it from 30 items on."""

MATERIAL_MS = 5.0
"""The largest input must cost so much: growth from 0.1 to 1 ms is true, and nobody's trouble."""

MATERIAL_RATIO = 3.0
"""And so many times what the median input costs, else the tail is no news."""

_EXPONENTS = np.arange(0.2, 4.01, 0.05)
"""The exponents that are tried. 0.2 is nearly constant; beyond 4 no step ends in production."""


@dataclass(frozen=True, slots=True)
class Growth:
    """How the cost of a step follows the size of an input.

    Parameters
    ----------
    fixed_ms, per_unit_ms : float
        Cost of an empty input, and of size 1 beyond that:
        ``ms = fixed_ms + per_unit_ms * size ** exponent``.
    exponent, low, high : float
        The exponent, and its 99 % interval; the whole searched range (0.2 to 4) where the sizes do
        not tell.
    n, n_large : int
        Observations fitted, and those among them whose cost is mostly due to their size.
    median_size, largest_size : float
        Of the observations seen.
    """

    fixed_ms: float
    per_unit_ms: float
    exponent: float
    low: float
    high: float
    n: int
    n_large: int
    median_size: float
    largest_size: float

    def predict(self, size: ArrayLike) -> Any:
        """Cost in ms at a size or an array of sizes."""
        return self.fixed_ms + self.per_unit_ms * np.asarray(size, np.float64) ** self.exponent

    @property
    def grows(self) -> bool:
        """Whether the largest inputs cost much more than the median one, however that follows."""
        typical, largest = self.predict(self.median_size), self.predict(self.largest_size)
        material = largest >= MATERIAL_MS and largest >= MATERIAL_RATIO * typical
        return bool(material and self.n_large >= FEWEST_LARGE)

    @property
    def superlinear(self) -> bool:
        """Whether cost is proven to grow clearly faster than size, by an amount that matters."""
        return self.grows and self.low > SUPERLINEAR

    def tail(self, seen: SizeCounts) -> tuple[float, float]:
        """Cost in ms at the p99 and at the maximum of the sizes that production sends."""
        return float(self.predict(seen.quantile(0.99))), float(self.predict(seen.largest))


class GrowthFit(Octaves):
    """Keeps the latest timings of every octave of size, and fits their growth on request.

    Notes
    -----
    For each exponent on a grid the two costs are fitted to relative errors by iteratively
    reweighted least squares with Huber's weights (P. Huber, E. Ronchetti, "Robust Statistics", 2nd
    ed., section 7.8), so that a scheduling hiccup weighs little. The interval is the set of
    exponents whose profile loss is within Student's quantile of the best. The loss is scaled by the
    noise of the *large* inputs, which are the few that tell.
    """

    def __init__(self) -> None:
        super().__init__()
        self._fitted: tuple[int, Growth | None] = (0, None)

    def add(self, seen: NDArray[np.int64], ms: ArrayLike) -> None:
        """Take in timings of single requests.

        Parameters
        ----------
        seen : ndarray of shape (n_rows,), int64
            Size of the input, from `sizes`.
        ms : array-like of shape (n_rows,)
            What the step took, in ms; NaN is left out.
        """
        self.keep(seen.tolist(), np.asarray(ms, np.float64).tolist())

    def fit(self) -> Growth | None:
        """Fit the growth; None where fewer than ten timings or only one size have been seen."""
        if self._fitted[0] != self.n:
            self._fitted = (self.n, self._fit())
        return self._fitted[1]

    def _fit(self) -> Growth | None:
        size, ms = self.kept()
        if size.size < 10 or size.min() == size.max():
            return None
        # A coarse clock may read 0 ms, which has no logarithm.
        return _fit(size, np.maximum(ms, 1e-6))


def _fit(size: FloatArray, ms: FloatArray) -> Growth:
    largest = size.max()
    # As shares of the largest, sizes to the fourth power stay in range and the sums well conditioned.
    shape = (size / largest) ** _EXPONENTS[:, None]
    fixed, variable, noise = robust_line(shape, ms)
    errors = np.log(ms) - np.log(fixed[:, None] + variable[:, None] * shape)
    # A first choice by plain absolute errors tells which inputs are large; their noise is needed next.
    best = int(np.abs(errors).sum(axis=1).argmin())
    large = variable[best] * shape[best] > fixed[best]
    # All exponents explain small inputs alike. The large ones decide, so each is weighed by the
    # noise of its kind.
    scale = np.where(large, _scale(errors[best, large], noise[best]), noise[best])
    loss = _loss(errors / scale)
    best = int(loss.argmin())
    n_large = int(large.sum())
    # A profile interval, with as few degrees of freedom as there are large inputs to tell.
    allowed = loss[best] + student.ppf(0.995, max(n_large - 2, 1)) ** 2 / 2
    within = _EXPONENTS[loss <= allowed]
    return Growth(
        fixed_ms=float(fixed[best]),
        # Back from shares of the largest to units of size.
        per_unit_ms=float(variable[best] / largest ** _EXPONENTS[best]),
        exponent=round(float(_EXPONENTS[best]), 2),
        low=round(float(within.min()), 2),
        high=round(float(within.max()), 2),
        n=size.size,
        n_large=n_large,
        median_size=float(np.median(size)),
        largest_size=float(largest),
    )


def robust_line(shape: FloatArray, ms: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Fit ``ms = fixed + variable * shape`` by relative error, for several shapes at once.

    Parameters
    ----------
    shape : ndarray of shape (n_shapes, n_rows)
        What the variable cost is proportional to, at most about 1.
    ms : ndarray of shape (n_rows,)
        Positive timings.

    Returns
    -------
    fixed, variable, noise : ndarray of shape (n_shapes,)
        Costs in ms, neither negative, and the relative noise (a robust standard deviation).
    """
    n_shapes = shape.shape[0]
    fixed = np.full(n_shapes, np.median(ms))
    variable = np.zeros(n_shapes)
    noise = np.ones(n_shapes)
    log_ms = np.log(ms)
    for turn in range(16):
        predicted = fixed[:, None] + variable[:, None] * shape
        errors = log_ms - np.log(predicted)
        # 1.4826 turns a median deviation into a normal one's standard deviation. Below 2 % a fit of
        # equal timings would take every other one for an outlier.
        noise = np.maximum(1.4826 * _medians(np.abs(errors)), 0.02)
        # Logarithms first, which let a poor start find the large inputs; then the errors fitted.
        size = np.abs(errors if turn < 8 else ms / predicted - 1)
        # Huber's 1.345 keeps 95 % of the precision of least squares where the noise is normal.
        weights = np.minimum(1, 1.345 * noise[:, None] / np.maximum(size, 1e-12))
        fixed, variable = _weighted_line(shape, ms, weights / predicted**2)
    return fixed, variable, noise


def _medians(rows: FloatArray) -> FloatArray:
    """Return each row's median; several times as fast as NumPy's, which also looks for NaN."""
    half = rows.shape[1] // 2
    if rows.shape[1] % 2:
        return np.asarray(np.partition(rows, half, axis=1)[:, half])
    return np.asarray(np.partition(rows, (half - 1, half), axis=1)[:, half - 1 : half + 1].mean(1))


def _weighted_line(
    shape: FloatArray, ms: FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Weighted least squares with an intercept, neither cost negative."""
    weighted = weights * shape
    w, wx, wy = weights.sum(1), weighted.sum(1), weights @ ms
    wxx, wxy = np.einsum("ij,ij->i", weighted, shape), weighted @ ms
    determinant = w * wxx - wx**2
    # Where sizes do not differ, dividing by infinity gives slope 0, and the mean as the fixed cost.
    safe = np.where(determinant > 1e-12 * w * wxx, determinant, np.inf)
    variable = (w * wxy - wx * wy) / safe
    fixed = (wy - variable * wx) / w
    # A cost cannot be negative: the best fit then lies on the edge, with the other cost alone.
    through_zero = fixed <= 0
    variable = np.where(through_zero, wxy / wxx, variable)
    fixed = np.where(through_zero, 1e-9, fixed)
    flat = variable < 0
    return np.where(flat, wy / w, fixed), np.where(flat, 0.0, variable)


def _scale(errors: FloatArray, noise: float) -> float:
    """Noise of the large inputs, drawn towards that of all where they are few."""
    if not errors.size:
        return noise
    own = 1.4826 * float(np.median(np.abs(errors)))
    # As if four more inputs had the noise of all: few large ones may agree by chance.
    return max(noise, float(np.sqrt((errors.size * own**2 + 4 * noise**2) / (errors.size + 4))))


def _loss(scaled: FloatArray) -> FloatArray:
    size = np.abs(scaled)
    huber = np.where(size <= 1.345, size**2 / 2, 1.345 * size - 1.345**2 / 2)
    return np.asarray(huber.sum(axis=1), dtype=np.float64)
