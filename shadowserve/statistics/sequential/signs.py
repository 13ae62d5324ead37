"""Evidence from small counts: whether something stands out oftener than by chance."""

from __future__ import annotations

from math import inf, log, pi

import numpy as np
from scipy.special import betaincc, betaln


def log_e_sign(k: float, n: float, p: float = 0.5) -> float:
    """Log evidence against "at most a share `p`", for `k` of `n` that came one after another.

    Half of the stake is on a Beta(1/2, 1/2) cut off below `p`. The other half bets that all do, and
    is worth ``p ** -k`` until one does not. Exact at every count, however small, and valid at every
    look (a mixture of likelihood ratios: H. Robbins 1970, "Statistical methods related to the law
    of the iterated logarithm", Annals of Mathematical Statistics 41(5)).

    Examples
    --------
    >>> round(log_e_sign(12, 12), 1), log_e_sign(0, 0), log_e_sign(6, 12) < 0
    (7.9, 0.0, True)
    """
    if n <= 0:
        return 0.0
    above = betaincc(0.5, 0.5, p)
    # Where nearly all mass lies below `p` it underflows to 0, which has no logarithm.
    tail = max(float(betaincc(k + 0.5, n - k + 0.5, p)), 1e-300)
    mixed = betaln(k + 0.5, n - k + 0.5) - log(pi) + log(tail / above)
    all_do = 0.0 if k == n else -inf
    null = k * log(p) + (n - k) * log(1 - p)
    return float(np.logaddexp(mixed, all_do) - log(2) - null)
