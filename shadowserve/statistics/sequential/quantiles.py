"""Quantiles with an interval that holds at every look: latency limits are judged by these."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil, log, log1p
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from shadowserve.statistics.sequential.evidence import KNOTS, log_above, log_below


class QuantileSequence:
    """Confidence sequence for one quantile of positive observations, in bounded memory.

    Parameters
    ----------
    q : float
        Which quantile, strictly between 0 and 1: 0.5 is the median, 0.99 the p99.
    low, high : float
        The range that is resolved, in the unit of the observations. All at or below `low` are one
        bucket, all above `high` another.
    relative : float
        Width of a bucket: limits and intervals are exact to this ratio.

    Notes
    -----
    Observations are counted in buckets with logarithmic edges. An edge lies below the quantile when
    the share of observations at or below it is proven to be less than `q`. S. Howard, A. Ramdas
    (2022), "Sequential estimation of quantiles with applications to A/B testing and best-arm
    identification", Bernoulli 28(3), section 2: what holds for the share at the true quantile holds
    at every other edge, since counts are monotone, so the edges need no correction for their
    number. The share is judged by the mixture of bets of `shadowserve.statistics.sequential.evidence`.

    Examples
    --------
    >>> import numpy as np
    >>> latency_ms = QuantileSequence(0.5)
    >>> latency_ms.add(np.linspace(1.0, 3.0, 2001))
    >>> low, high = latency_ms.interval(0.05)
    >>> 1.8 < low < 2.0 < high < 2.2
    True
    """

    def __init__(
        self, q: float, *, low: float = 1e-3, high: float = 1e7, relative: float = 0.02
    ) -> None:
        if not (0 < q < 1 and 0 < low < high and relative > 0):
            raise ValueError(
                "A quantile sequence needs 0 < q < 1, 0 < low < high and a positive relative width."
            )
        self.q = q
        self.low = float(low)
        self.high = float(high)
        self.relative = float(relative)
        self.missing = 0
        n_edges = ceil(log(high / low) / log1p(relative)) + 1
        self.edges = low * (1 + relative) ** np.arange(n_edges)
        self.counts = np.zeros(n_edges + 1, dtype=np.int64)

    def add(self, values: ArrayLike) -> None:
        """Take in observations, an array of shape (n_rows,) or one number; NaN is `missing`."""
        seen = np.atleast_1d(np.asarray(values, dtype=np.float64)).ravel()
        known = seen[~np.isnan(seen)]
        self.missing += seen.size - known.size
        buckets = np.searchsorted(self.edges, known, side="left")
        self.counts += np.bincount(buckets, minlength=self.counts.size)

    @property
    def n(self) -> int:
        """Number of observations."""
        return int(self.counts.sum())

    @property
    def estimate(self) -> float:
        """The quantile seen so far, to the width of a bucket; NaN before the first observation."""
        if self.n == 0:
            return float("nan")
        bucket = int(np.searchsorted(self.counts.cumsum(), self.q * self.n))
        right = min(bucket, self.edges.size - 1)
        return float(np.sqrt(self.edges[max(bucket - 1, 0)] * self.edges[right]))

    def interval(self, alpha: float, *, effect: float = 1.0) -> tuple[float, float]:
        """Range that holds the quantile at every look at once with probability >= 1 - alpha.

        Parameters
        ----------
        alpha : float
            Probability of ever being wrong.
        effect : float
            How many observations carry the information of one (the design effect), at least 1: for
            a stream whose neighbours are alike. With an estimated effect the guarantee is no longer
            exact.

        Returns
        -------
        tuple of float
            ``0.0`` and ``inf`` stand for a side on which nothing is proven yet.
        """
        below = self._first(lambda edge: not self._proves(edge, True, alpha / 2, effect))
        above = self._first(lambda edge: self._proves(edge, False, alpha / 2, effect))
        low = float(self.edges[below - 1]) if below > 0 else 0.0
        high = float(self.edges[above]) if above < self.edges.size else float("inf")
        return low, high

    def is_above(self, limit: float, *, alpha: float, effect: float = 1.0) -> bool:
        """Whether the quantile is proven above `limit`, one-sided at level alpha, at any look."""
        edge = int(np.searchsorted(self.edges, limit, side="left"))
        return edge < self.edges.size and self._proves(edge, True, alpha, effect)

    def is_below(self, limit: float, *, alpha: float, effect: float = 1.0) -> bool:
        """Whether the quantile is proven at most `limit`, one-sided at level alpha, at any look."""
        edge = int(np.searchsorted(self.edges, limit, side="right")) - 1
        return edge >= 0 and self._proves(edge, False, alpha, effect)

    def needed(self, limit: float, *, alpha: float, effect: float = 1.0) -> int | None:
        """How many more observations decide `limit`, if they look like those so far.

        Returns
        -------
        int or None
            0 when it is decided already; None when there is nothing to go by, or when a thousand
            times as many would not do.
        """
        if self.n == 0:
            return None
        above = self.estimate > limit
        edge = int(np.searchsorted(self.edges, limit, side="left" if above else "right")) - (
            not above
        )
        if not 0 <= edge < self.edges.size:
            return None

        def short(times: float) -> float:
            return self._evidence(edge, above, effect, times=times) - log(1 / alpha)

        if short(1.0) >= 0:
            return 0
        if not short(1000.0) >= 0:
            return None
        return max(1, ceil((float(brentq(short, 1.0, 1000.0)) - 1) * self.n))

    def merge(self, other: QuantileSequence) -> None:
        """Take in all that `other` has seen; it must have been declared alike."""
        if self._declared() != other._declared():
            raise ValueError("Quantile sequences merge when q, range and width are equal.")
        self.missing += other.missing
        self.counts += other.counts

    def state(self) -> dict[str, Any]:
        """Everything as JSON-able values; `from_state` gives the same sequence back."""
        filled = np.flatnonzero(self.counts)
        counts = {str(bucket): int(self.counts[bucket]) for bucket in filled}
        return {**self._declared(), "missing": self.missing, "counts": counts}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> QuantileSequence:
        """Rebuild what `state` wrote."""
        sequence = cls(state["q"], low=state["low"], high=state["high"], relative=state["relative"])
        sequence.missing = state["missing"]
        for bucket, count in state["counts"].items():
            sequence.counts[int(bucket)] = count
        return sequence

    def _declared(self) -> dict[str, float]:
        return {"q": self.q, "low": self.low, "high": self.high, "relative": self.relative}

    def _proves(self, edge: int, above: bool, alpha: float, effect: float) -> bool:
        return self._evidence(edge, above, effect) >= log(1 / alpha)

    def _evidence(self, edge: int, above: bool, effect: float, *, times: float = 1.0) -> float:
        """Log evidence that the quantile lies above an edge, or that it does not."""
        at_most = int(self.counts[: edge + 1].sum())
        outcomes = np.zeros(KNOTS.size)
        outcomes[0], outcomes[-1] = (self.n - at_most) / effect, at_most / effect
        judged = log_below if above else log_above
        return judged(outcomes, self.q, times=times)

    def _first(self, holds: Callable[[int], bool]) -> int:
        """First edge for which a monotone statement holds; the number of edges if none."""
        first, beyond = 0, self.edges.size
        while first < beyond:
            middle = (first + beyond) // 2
            if holds(middle):
                beyond = middle
            else:
                first = middle + 1
        return first
