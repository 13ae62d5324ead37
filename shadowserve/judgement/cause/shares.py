r"""How much of a divergence is carried by what: answers crossed over, and the shares that follow.

With features :math:`F` and estimators :math:`E` of champion and challenger, :math:`d = E_h(F_h) - E_c(F_c)`. What new
features change is seen before both estimators, what new weights change on both features; each part is the mean of
the two, so the parts add up to :math:`d`. A part's share is :math:`\sum \langle p, d \rangle / \sum \langle d, d
\rangle`. Where the two ways of seeing a part differ, features and weights do not act apart: that is the interaction,
:math:`\sum |d - p_F - p_W| / \sum |d|` with both parts as seen from the champion. It is no sum of signed terms, so
nothing in it cancels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shadowserve.judgement.cause.cause import Share

TIMES = 1_000
"""How often requests are drawn anew for an interval."""


@dataclass(frozen=True, slots=True)
class Crossed:
    """Shares of the divergence, of features, of weights, and of what neither carries alone."""

    features: Share
    weights: Share
    interaction: Share


class Requests:
    """The requests that rows belong to, drawn anew so many times; rows of a request stay together.

    Parameters
    ----------
    of : ndarray of shape (n_rows,), int
        Which request each row is of, from 0.
    """

    def __init__(self, of: np.ndarray) -> None:
        self._of = of
        n = int(of.max()) + 1 if len(of) else 0
        drawn = np.random.default_rng(20).multinomial(n, np.full(n, 1 / n), size=TIMES)
        self._weights = np.vstack([np.ones(n), drawn])

    def share(self, part: np.ndarray, whole: np.ndarray) -> Share:
        """Return a ratio of two sums over rows, with its interval.

        Parameters
        ----------
        part, whole : ndarray of shape (n_rows,)
        """
        n = self._weights.shape[1]
        above, below = (np.bincount(self._of, one, minlength=n) for one in (part, whole))
        sums = self._weights @ below
        ratios = np.divide(
            self._weights @ above, sums, out=np.full(len(sums), np.nan), where=sums > 0
        )
        low, high = np.nanquantile(ratios[1:], (0.025, 0.975))
        return Share(float(ratios[0]), float(low), float(high))


def crossed(
    champion: np.ndarray,
    challenger: np.ndarray,
    *,
    new_features: np.ndarray,
    new_weights: np.ndarray,
    requests: Requests,
) -> Crossed:
    """Return what features and weights carry of a divergence.

    Parameters
    ----------
    champion, challenger : ndarray of shape (n_rows, n_places)
        Their own answers.
    new_features : ndarray of shape (n_rows, n_places)
        The champion's estimator on the challenger's features.
    new_weights : ndarray of shape (n_rows, n_places)
        The challenger's estimator on the champion's features.
    """
    apart = challenger - champion
    own, other = new_features - champion, challenger - new_weights
    features = (own + other) / 2
    beyond = apart - own - (new_weights - champion)
    return Crossed(
        requests.share(inner(features, apart), inner(apart, apart)),
        requests.share(inner(apart - features, apart), inner(apart, apart)),
        requests.share(size(beyond), size(apart)),
    )


def inner(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return each row's inner product: ndarray of shape (n_rows,)."""
    return np.asarray((a * b).sum(axis=1))


def size(a: np.ndarray) -> np.ndarray:
    """Return each row's sum of absolute values: ndarray of shape (n_rows,)."""
    return np.asarray(np.abs(a).sum(axis=1))
