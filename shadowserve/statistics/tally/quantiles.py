"""Quantiles of a stream, weighted where rows stood for others, within a few kilobytes.

The sketches are Apache DataSketches'. For values as such KLL (Karnin, Lang & Liberty, FOCS 2016):
error is uniform in rank. For times and error sizes the top percent is the point. They go to REQ in
its high-rank mode (Cormode, Karnin, Liberty, Thaler & Veselý, PODS 2021): error shrinks with the
distance from the top.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from datasketches import kll_doubles_sketch, req_floats_sketch
from scipy.stats import wasserstein_distance

from shadowserve.statistics.tally.state import State, checked, finite, labelled, packed, unpacked

KLL_SIZE = 400
REQ_SIZE = 24
RANKS = (0.5, 0.9, 0.95, 0.99)
_LARGEST = 1e300
_LARGEST_TAIL = float(np.finfo(np.float32).max)
_SLICE = 65_536


class Quantiles:
    """Quantiles of a stream of numbers.

    Parameters
    ----------
    tail : bool
        False: KLL on float64; rank error below 0.7 % at every rank (single-sided, 99 %).
        True: REQ on float32 (7 digits); relative error of the distance from the top about 2 %,
        so that p99 is one of p98.98 … p99.02. For times and sizes of errors.

    Notes
    -----
    A row of weight w counts as w equal rows. Fractions of a weight are carried on to the next row,
    so the sum of weights is kept to within one. NaN and infinities are left out; `Moments` counts
    them. Both sketches draw random bits: two runs over one stream agree to within the rank error.
    """

    __slots__ = ("_carry", "_sketch", "n", "tail", "weight", "weight_squared")

    def __init__(self, *, tail: bool = False) -> None:
        self.tail = tail
        self.n = 0
        self.weight = 0.0
        self.weight_squared = 0.0
        self._carry = 0.0
        self._sketch = req_floats_sketch(REQ_SIZE, True) if tail else kll_doubles_sketch(KLL_SIZE)

    def add(self, values: np.ndarray, weights: np.ndarray | None = None) -> None:
        """Take a batch.

        Parameters
        ----------
        values : ndarray of shape (n_rows,)
        weights : ndarray of shape (n_rows,), optional
            Inverse inclusion probabilities, at least 1; all 1 if left out.
        """
        known = np.isfinite(values)
        if not known.all():
            values = values[known]
            weights = None if weights is None else weights[known]
        if values.size == 0:
            return
        self.n += values.size
        if weights is None:
            self.weight += values.size
            self.weight_squared += values.size
            self._update(values)
        else:
            self.weight += float(weights.sum())
            self.weight_squared += float(np.square(weights).sum())
            self._update_weighted(values, weights)

    def _update(self, values: np.ndarray) -> None:
        if self.tail:
            # REQ holds float32, where a larger number would become infinite.
            values = np.clip(values, -_LARGEST_TAIL, _LARGEST_TAIL).astype(np.float32)
        else:
            values = np.clip(values, -_LARGEST, _LARGEST).astype(np.float64)
        self._sketch.update(values)

    def _update_weighted(self, values: np.ndarray, weights: np.ndarray) -> None:
        reached = self._carry + np.cumsum(weights)
        # Fractions of weights may add up to a hair less than a whole number; that counts as the number.
        counts = np.diff(np.floor(reached + 1e-9), prepend=0.0).astype(np.int64)
        self._carry = max(0.0, float(reached[-1]) - float(counts.sum()))
        # Rows are repeated slice by slice: a heavy batch would else make an array of millions.
        rows_at_once = max(1, int(_SLICE // max(1.0, float(counts.max()))))
        for start in range(0, values.size, rows_at_once):
            part = slice(start, start + rows_at_once)
            repeated = np.repeat(values[part], counts[part])
            if repeated.size:
                self._update(repeated)

    @property
    def n_effective(self) -> float:
        """Kish's effective number of observations."""
        return self.weight**2 / self.weight_squared if self.n else 0.0

    def quantile(self, rank: float) -> float:
        """Value at a rank in [0, 1]; NaN without data."""
        return math.nan if self._sketch.is_empty() else float(self._sketch.get_quantile(rank, True))

    def quantiles(self, ranks: np.ndarray) -> np.ndarray:
        """Values at ranks in [0, 1]: ndarray of the same shape; NaN without data."""
        if self._sketch.is_empty():
            return np.full(len(ranks), np.nan)
        return np.asarray(self._sketch.get_quantiles(ranks.tolist(), True), dtype=np.float64)

    def rank(self, value: float) -> float:
        """Share of the stream at or below `value`; NaN without data."""
        return math.nan if self._sketch.is_empty() else float(self._sketch.get_rank(value, True))

    def summary(self) -> dict[str, Any]:
        """Return n, n_effective and p50, p90, p95, p99; None without data."""
        values = self.quantiles(np.array(RANKS))
        named = {f"p{rank * 100:g}": finite(v) for rank, v in zip(RANKS, values, strict=True)}
        return {"n": self.n, "n_effective": finite(self.n_effective), **named}

    def state(self) -> State:
        """Return the sketch's own bytes and the sums of weights."""
        return labelled(
            "quantiles",
            tail=self.tail,
            n=self.n,
            sums=[self.weight, self.weight_squared, self._carry],
            sketch=packed(self._sketch.serialize()),
        )

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Read back what `state` wrote."""
        s = checked(state, "quantiles")
        it = cls(tail=s["tail"])
        it.n = s["n"]
        it.weight, it.weight_squared, it._carry = s["sums"]
        it._sketch = type(it._sketch).deserialize(unpacked(s["sketch"]))
        return it


def histogram(
    *sides: Quantiles, n_bins: int = 20, within: tuple[float, float] | None = None
) -> State | None:
    """Return how several streams lie over the same bins; None where all are empty.

    Parameters
    ----------
    *sides : Quantiles
    n_bins : int
    within : (float, float), optional
        First and last edge; by default from the 0.5th to the 99.5th percentile of all, so that a stray
        value does not squeeze everything else into one bin.

    Returns
    -------
    dict or None
        ``edges``, n_bins + 1 of them, and ``shares``: for each side the share of its values in each bin,
        0 to 1; what lies beyond an end is counted in the bin at that end. A side without data has None.
    """
    known = [side for side in sides if side.n]
    if not known:
        return None
    low, high = within or (
        min(side.quantile(0.005) for side in known),
        max(side.quantile(0.995) for side in known),
    )
    if not high > low:
        # Beyond 2 ** 53 a half is lost in a number's rounding.
        half = max(0.5, 1e-6 * abs(low))
        low, high = low - half, high + half
    edges = np.linspace(low, high, n_bins + 1)
    return {
        "edges": edges.tolist(),
        "shares": [_shares(side, edges) if side.n else None for side in sides],
    }


def _shares(side: Quantiles, edges: np.ndarray) -> list[float]:
    # A value on an edge belongs to the bin below it; the first and the last take what lies beyond.
    below = [0.0, *(side.rank(float(edge)) for edge in edges[1:-1]), 1.0]
    return np.diff(below).tolist()


def wasserstein(a: Quantiles, b: Quantiles, *, n_points: int = 200) -> float:
    """Distance of two distributions: how far, on average, values must move to turn one into the other.

    First Wasserstein distance (scipy's `wasserstein_distance`) of the sketches' quantiles at
    `n_points` mid-ranks. In the unit of the values; 0 same, larger is further apart; NaN where
    either is empty.
    """
    if a.n == 0 or b.n == 0:
        return math.nan
    ranks = (np.arange(n_points) + 0.5) / n_points
    return float(wasserstein_distance(a.quantiles(ranks), b.quantiles(ranks)))
