"""Evidence that grows by betting: the one formula below every confidence sequence of this product.

Somebody who claims that a mean is at most ``m`` must accept a bet that is fair at ``m``. If our
money multiplies by 20 the claim is hard to keep, at whatever moment we stop to look (Ville's
inequality). That lets a verdict survive peeking.

Sources
-------
- I. Waudby-Smith, A. Ramdas (2024), "Estimating means of bounded random variables by betting",
  JRSS-B 86(1): the capital process (section 4) and the confidence sequence made of it (theorem 3).
- F. Orabona, K.-S. Jun (2024), "Tight concentrations and certified regret for time-uniform
  confidence sequences": a mixture over constant bets (Cover's universal portfolio).
- S. Howard, A. Ramdas, J. McAuliffe, J. Sekhon (2021), "Time-uniform, nonparametric, nonasymptotic
  confidence sequences", Annals of Statistics 49(2): mixtures, and bounded values seen as Bernoulli.

A constant bet never looks at the order of the observations, so the capital is a function of their
histogram. Between two knots an observation is split in proportion; the logarithm is concave, so the
split can only cost capital and the guarantee holds exactly, for any number of knots.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaln, xlogy

FloatArray = NDArray[np.float64]


def _knots() -> FloatArray:
    # Fine where observations crowd: at no difference (0, or the middle of a signed range) and 1.
    fine = 2.0 ** -np.arange(5, 13)
    coarse = np.arange(17) / 16
    return np.unique(np.concatenate([coarse, fine, 0.5 - fine, 0.5 + fine, 1 - fine]))


def _shares() -> FloatArray:
    # Shares of the capital to bet, from bold (finds large effects early) to timid (small ones late).
    bold = 1 - 0.5 ** np.arange(2.0, 10.0)
    timid = 0.5 * 1.3 ** -np.arange(42.0)
    return np.concatenate([bold, timid])


KNOTS = _knots()
_SHARES = _shares()


def spread(values: FloatArray) -> FloatArray:
    """Histogram of values in [0, 1] over `KNOTS`, each value split between its two neighbours.

    Parameters
    ----------
    values : ndarray of shape (n_rows,), float64
        In [0, 1], without NaN.

    Returns
    -------
    ndarray of shape (n_knots,), float64
        Sums to ``n_rows``; its mean is the mean of the values.
    """
    # The first and the last interval take the ends themselves, 0 and 1.
    upper = np.clip(np.searchsorted(KNOTS, values), 1, KNOTS.size - 1)
    left, right = KNOTS[upper - 1], KNOTS[upper]
    share = (values - left) / (right - left)
    size = KNOTS.size
    below = np.bincount(upper - 1, weights=1 - share, minlength=size)
    return np.asarray(below + np.bincount(upper, weights=share, minlength=size), dtype=np.float64)


def log_above(counts: FloatArray, limit: float, *, times: float = 1.0) -> float:
    """Log evidence against "the mean is at most `limit`".

    For a fixed limit the statement also holds where the mean drifts. It is then about the running
    average of the means (inequality of arithmetic and geometric means over the bets).

    Parameters
    ----------
    counts : ndarray of shape (n_knots,)
        From `spread`.
    limit : float
        Strictly between 0 and 1; at 1 or above there is no evidence, at 0 or below any positive
        observation is proof.
    times : float
        Pretend that everything seen so far had been seen so many times.

    Returns
    -------
    float
        Larger is stronger. At or above ``log(1 / alpha)`` the claim is refuted at level alpha, at
        every look at once.
    """
    if limit >= 1:
        return -np.inf
    seen = counts > 0
    if limit <= 0:
        return float(np.inf) if counts[1:].any() else 0.0
    return _mixture(KNOTS[seen] / limit, counts[seen] * times)


def log_below(counts: FloatArray, limit: float, *, times: float = 1.0) -> float:
    """Log evidence against "the mean is at least `limit`"; see `log_above`."""
    return log_above(counts[::-1], 1 - limit, times=times)


def _mixture(payoffs: FloatArray, counts: FloatArray) -> float:
    # A bet on `share` of the capital pays back the stake on average where the mean is the limit.
    factors = (1 - _SHARES)[:, None] + _SHARES[:, None] * payoffs
    capital = np.log(factors) @ counts
    # The largest term is taken out first: capital itself soon exceeds every float.
    peak = capital.max()
    return float(peak + np.log(np.exp(capital - peak).sum() / _SHARES.size))


def rate_evidence(n: ArrayLike, total: ArrayLike, rate: ArrayLike) -> Any:
    """Log evidence against "the rate is `rate`", from a count and a sum alone.

    The Krichevsky-Trofimov mixture (a Beta(1/2, 1/2) prior over the alternative), as in Howard et
    al. 2021, proposition 7. Exact for 0/1 values; for values in [0, 1] it is valid and cautious,
    because the likelihood ratio is convex in the observation.

    Parameters
    ----------
    n, total, rate : array-like, broadcast together
        Observations, their sum (0 <= total <= n), and the claimed rate in (0, 1).

    Returns
    -------
    ndarray or float64
        In either direction: compare ``total / n`` with `rate` to see which.
    """
    n, total, rate = np.asarray(n, float), np.asarray(total, float), np.asarray(rate, float)
    claimed = xlogy(total, rate) + xlogy(n - total, 1 - rate)
    return log_mixture(n, total) - claimed


def two_rates(n_a: ArrayLike, total_a: ArrayLike, n_b: ArrayLike, total_b: ArrayLike) -> Any:
    """Log evidence against "both groups have one common rate", whatever that rate is.

    Each group's mixture over its best common rate. The pooled rate gives the smallest evidence of
    all common rates, so the result is at most the evidence at the true one.

    Parameters
    ----------
    n_a, total_a, n_b, total_b : array-like, broadcast together
        Observations in [0, 1] of both groups and their sums.

    Returns
    -------
    ndarray or float64
        Log e-value, valid at every look; in either direction.

    Examples
    --------
    >>> bool(two_rates(80, 80, 1920, 40) > 100)
    True
    >>> bool(two_rates(80, 4, 1920, 96) < 0)
    True
    """
    n_a, total_a = np.asarray(n_a, float), np.asarray(total_a, float)
    n_b, total_b = np.asarray(n_b, float), np.asarray(total_b, float)
    common = _best(n_a + n_b, total_a + total_b)
    return log_mixture(n_a, total_a) + log_mixture(n_b, total_b) - common


def likelihood_ratio(
    n_a: FloatArray, total_a: FloatArray, n_b: FloatArray, total_b: FloatArray
) -> FloatArray:
    """Log likelihood of two rates over that of one, each at its best: never below `two_rates`.

    Examples
    --------
    >>> counted = (np.array([80.0]), np.array([80.0]), np.array([1920.0]), np.array([40.0]))
    >>> bool(likelihood_ratio(*counted) >= two_rates(*counted))
    True
    """
    apart = _best(n_a, total_a) + _best(n_b, total_b)
    return np.asarray(apart - _best(n_a + n_b, total_a + total_b))


def _best(n: FloatArray, total: FloatArray) -> Any:
    # An empty group has likelihood 1, whatever its rate.
    rate = total / np.maximum(n, 1e-300)
    return xlogy(total, rate) + xlogy(n - total, 1 - rate)


def log_mixture(n: FloatArray, total: FloatArray) -> Any:
    """Log likelihood of `total` out of `n`, averaged over Beta(1/2, 1/2) rates."""
    # Beta(1/2, 1/2) has pi as its norming constant.
    return betaln(total + 0.5, n - total + 0.5) - np.log(np.pi)
