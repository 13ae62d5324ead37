"""Means of bounded observations, with an interval that holds at every look.

`MeanSequence` judges every limit of a verdict. It keeps a histogram of fixed size, so any alpha and
any limit can be asked at any time. The order of arrival does not matter.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, inf, log
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq, minimize_scalar

from shadowserve.statistics.sequential.evidence import KNOTS, log_above, log_below, spread
from shadowserve.statistics.stored import Stored, array, plain

_TINY = 1e-12


class MeanSequence(Stored):
    """Confidence sequence for the mean of observations in ``[low, high]``.

    Parameters
    ----------
    low, high : float
        The declared range. Observations beyond it are clipped and counted in `clipped`, so the
        statement is about the clipped mean.

    Notes
    -----
    Betting with a mixture of constant bets: see `shadowserve.statistics.sequential.evidence` for
    the papers. Observations may depend on the past as long as their mean does not exceed the limit
    in question. For a fixed limit it is enough that their running average of means does not. NaN is
    left out and counted in `missing`.

    Examples
    --------
    >>> import numpy as np
    >>> rate = MeanSequence()
    >>> rate.add(np.repeat([0.0, 1.0], [970, 30]))
    >>> low, high = rate.interval(0.05)
    >>> bool(low < 0.03 < high), rate.is_below(0.06, alpha=0.05), rate.is_above(0.02, alpha=0.05)
    (True, True, False)
    """

    parts: ClassVar = {
        "low": plain,
        "high": plain,
        "n": plain,
        "clipped": plain,
        "missing": plain,
        "counts": array(np.float64),
    }
    given = ("low", "high")

    def __init__(self, low: float = 0.0, high: float = 1.0) -> None:
        if not (np.isfinite(low) and np.isfinite(high) and low < high):
            raise ValueError(f"A bounded mean needs finite low < high, got {low} and {high}.")
        self.low = float(low)
        self.high = float(high)
        self.n = 0
        self.clipped = 0
        self.missing = 0
        self.counts = np.zeros(KNOTS.size)

    def add(self, values: ArrayLike) -> None:
        """Take in observations, an array of shape (n_rows,) or one number."""
        seen = np.atleast_1d(np.asarray(values, dtype=np.float64)).ravel()
        known = seen[~np.isnan(seen)]
        unit = (known - self.low) / (self.high - self.low)
        self.clipped += int(((unit < 0) | (unit > 1)).sum())
        self.missing += seen.size - known.size
        self.n += known.size
        # Bets are fair for bounded values only, so what lies beyond is clipped, and counted.
        self.counts += spread(np.clip(unit, 0.0, 1.0))

    @property
    def mean(self) -> float:
        """Mean of the clipped observations; NaN before the first."""
        if self.n == 0:
            return float("nan")
        return self._back(float(self.counts @ KNOTS) / self.n)

    @property
    def ends(self) -> tuple[float, float]:
        """How many observations lay at the low and at the high end of the range.

        Exact where none lies between an end and its neighbouring knot, as with 0 and 1.
        """
        return float(self.counts[0]), float(self.counts[-1])

    def interval(self, alpha: float) -> tuple[float, float]:
        """Range that holds the mean at every look at once with probability at least 1 - alpha."""
        if self.n == 0:
            return self.low, self.high
        # Half of alpha for each end.
        threshold = log(2 / alpha)
        centre = min(max(float(self.counts @ KNOTS) / self.n, 0.0), 1.0)
        low = _crossing(lambda m: log_above(self.counts, m) - threshold, 0.0, centre)
        high = 1 - _crossing(lambda m: log_below(self.counts, 1 - m) - threshold, 0.0, 1 - centre)
        return self._back(low), self._back(high)

    def log_e_above(self, limit: float) -> float:
        """Log evidence against "the mean is at most limit"; larger is stronger."""
        return log_above(self.counts, self._unit(limit))

    def log_e_below(self, limit: float) -> float:
        """Log evidence against "the mean is at least limit"; larger is stronger."""
        return log_below(self.counts, self._unit(limit))

    def is_above(self, limit: float, *, alpha: float) -> bool:
        """Whether the mean is proven above `limit`, one-sided at level alpha, at any look."""
        return self.log_e_above(limit) >= log(1 / alpha)

    def is_below(self, limit: float, *, alpha: float) -> bool:
        """Whether the mean is proven below `limit`, one-sided at level alpha, at any look."""
        return self.log_e_below(limit) >= log(1 / alpha)

    def needed(self, limit: float, *, alpha: float) -> int | None:
        """How many more observations decide `limit`, if they look like those so far.

        Returns
        -------
        int or None
            0 when it is decided already. None when nothing has been seen, or when the mean lies so
            near the limit that a thousand times as many would not do.
        """
        if self.n == 0:
            return None
        unit = self._unit(limit)
        evidence = log_above if self.mean > limit else log_below

        def short(times: float) -> float:
            return evidence(self.counts, unit, times=times) - log(1 / alpha)

        if short(1.0) >= 0:
            return 0
        if not short(1000.0) >= 0:
            return None
        # Evidence is short now and long enough at a thousand times as many: a root lies between.
        times = float(brentq(short, 1.0, 1000.0))
        return max(1, ceil((times - 1) * self.n))

    def _unit(self, value: float) -> float:
        return (value - self.low) / (self.high - self.low)

    def _back(self, unit: float) -> float:
        return self.low + unit * (self.high - self.low)


def paired_mean(clip: float) -> MeanSequence:
    """Sequence for the mean of paired differences, each clipped to ``[-clip, clip]``.

    Feed it ``challenger - control`` of the same requests. What the two share cancels, so this is
    the sharpest way to judge a challenger against the noise floor.
    """
    return MeanSequence(-clip, clip)


def log_e_difference(a: MeanSequence, b: MeanSequence, margin: float = 0.0) -> float:
    """Log evidence against "the mean of `a` is at most the mean of `b` plus `margin`".

    For two streams of *different* requests, with the same declared range. The product of both
    streams' evidence, at the least favourable mean of `b` (both parts are convex in it).
    """
    if (a.low, a.high) != (b.low, b.high):
        raise ValueError("Two sequences can be compared when they were declared with one range.")
    shift = margin / (a.high - a.low)

    def evidence(mean: float) -> float:
        return log_above(a.counts, mean + shift) + log_below(b.counts, mean)

    low, high = max(_TINY, -shift + _TINY), min(1 - _TINY, 1 - shift - _TINY)
    if low >= high:
        # Such a margin spans the whole range: the claim is true beforehand, or impossible.
        return -inf if shift > 0 else inf
    # The mean of `b` is unknown, so the one that favours the claim most has to be refuted.
    best = minimize_scalar(evidence, bounds=(low, high), method="bounded", options={"xatol": 1e-7})
    return float(best.fun)


def difference(
    a: MeanSequence, b: MeanSequence, *, alpha: float, alpha_low: float | None = None
) -> tuple[float, float]:
    """Range of ``mean(a) - mean(b)`` for two streams of different requests, valid at every look.

    Parameters
    ----------
    alpha : float
        Half of it is the probability that the upper end is ever wrong.
    alpha_low : float, optional
        The same of the lower end; by default as much.

    Returns
    -------
    tuple of float
        Low and high; the whole possible range before both have observations.
    """
    width = a.high - a.low
    if a.n == 0 or b.n == 0:
        return -width, width
    below, above = log(2 / (alpha_low or alpha)), log(2 / alpha)
    centre = a.mean - b.mean
    low = _crossing(lambda d: log_e_difference(a, b, d) - below, -width, centre)
    high = -_crossing(lambda d: log_e_difference(b, a, d) - above, -width, -centre)
    return low, high


def _crossing(excess: Callable[[float], float], start: float, end: float) -> float:
    """Where a decreasing evidence falls below its threshold; `start` when it never reached it."""
    first = start + _TINY
    if end <= first or not excess(first) > 0:
        return start
    if excess(end) >= 0:
        return end
    # Evidence can be infinite at the edge, which root finding does not take.
    return float(brentq(lambda value: min(excess(value), 1e6), first, end, xtol=1e-7))
