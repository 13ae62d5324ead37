"""Ten films for a page: the last step of the `films` pipelines. Shipped with each version."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

N_ANSWERS = 10


class FilmRanking(BaseEstimator):
    """Rank the catalogue by how much likelier a film is liked next on this page than anywhere.

    A ridge regression onto one column per film estimates the probability that this film is the
    next one liked; divided by the film's popularity to the power ``damping``, it is the score.

    Parameters
    ----------
    min_likes : int
        Films liked fewer times in the training data are not in the catalogue.
    damping : float
        0 ranks by probability, which favours the famous; 1 by lift, which favours the rare.
    penalty : float
        Weight of the squared coefficients.
    min_films : int
        The catalogue holds at least so many films, the most liked ones, at least ten.
    """

    def __init__(
        self,
        min_likes: int = 30,
        damping: float = 0.5,
        penalty: float = 10.0,
        min_films: int = 12,
    ) -> None:
        self.min_likes = min_likes
        self.damping = damping
        self.penalty = penalty
        self.min_films = min_films

    def fit(self, X: object, y: np.ndarray) -> FilmRanking:  # noqa: N803
        """Fit on features of shape (n_rows, n_features) and the film liked next, (n_rows,)."""
        features = sp.csr_array(X)
        self.catalogue_, popularity = self._catalogue(y)
        known = np.flatnonzero(np.isin(y, self.catalogue_))
        column = np.searchsorted(self.catalogue_, np.asarray(y)[known])
        liked = sp.csr_array(
            (np.ones(len(known)), (known, column)), shape=(len(y), len(self.catalogue_))
        )
        mean = features.mean(axis=0)
        gram = (features.T @ features).toarray() - len(y) * np.outer(mean, mean)
        gram[np.diag_indices_from(gram)] += self.penalty
        moment = (features.T @ liked).toarray() - len(y) * np.outer(mean, popularity)
        weights = np.linalg.solve(gram, moment)
        scale = popularity**-self.damping
        self.weights_ = np.ascontiguousarray(weights * scale)
        self.intercept_ = (popularity - mean @ weights) * scale
        return self

    def _catalogue(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Films that may be answered, by id, and the share of likes that each has."""
        films, counts = np.unique(y, return_counts=True)
        if not N_ANSWERS <= self.min_films <= len(films):
            raise ValueError(f"{len(films)} films were liked; an answer needs {N_ANSWERS}.")
        n_films = max(np.count_nonzero(counts >= self.min_likes), self.min_films)
        kept = np.sort(np.argsort(-counts, kind="stable")[:n_films])
        return films[kept].astype(np.int64), counts[kept] / len(y)

    def predict(self, X: object) -> np.ndarray:  # noqa: N803
        """Return film ids, best first: int64 of shape (n_rows, 10).

        A sparse product adds row by row, so a row's answer does not depend on its neighbours.
        """
        check_is_fitted(self)
        scores = sp.csr_array(X) @ self.weights_ + self.intercept_
        best = np.argsort(-scores, axis=1, kind="stable")[:, :N_ANSWERS]
        return self.catalogue_[best]
