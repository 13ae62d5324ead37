"""How repetitive a description is: the step that `films` v4 adds. Shipped with v4 only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin


class RepeatedPhrases(TransformerMixin, BaseEstimator):
    """Share of phrases that are said again later in the same text; copied blurbs repeat themselves.

    Parameters
    ----------
    n_words : int
        Words in a phrase.
    """

    def __init__(self, n_words: int = 3) -> None:
        self.n_words = n_words

    def fit(self, X: Iterable[str], y: object = None) -> RepeatedPhrases:  # noqa: ARG002, N803
        """Learn nothing."""
        self.n_features_in_ = 1
        return self

    def transform(self, X: Iterable[str]) -> np.ndarray:  # noqa: N803
        """Return float64 of shape (n_rows, 1): repeated pairs for each word, 0 for short texts."""
        return np.array([[self._repetition(text)] for text in X], dtype=np.float64)

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:  # noqa: ARG002
        """Name the one feature."""
        return np.array(["repeated_phrases"], dtype=object)

    def _repetition(self, text: str) -> float:
        words = text.lower().split()
        phrases = [" ".join(words[i : i + self.n_words]) for i in range(len(words))]
        return repeated_pairs(phrases) / max(len(phrases), 1)


def repeated_pairs(phrases: Sequence[object]) -> int:
    """Count the pairs of equal phrases, by looking at every pair.

    Forty words make 780 pairs; twenty thousand make two hundred million. This is the fault that
    `films` v4 carries.
    """
    phrases = list(phrases)
    return sum(phrases[i + 1 :].count(phrase) for i, phrase in enumerate(phrases))
