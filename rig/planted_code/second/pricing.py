"""F20: a file that two versions ship under one name; here carat counts 1.1 times."""

from __future__ import annotations

from typing import Any

import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

FACTOR = 1.1


class Weigh(TransformerMixin, BaseEstimator):
    """Multiply carat by this file's own factor when serving."""

    def fit(self, X: Any, y: Any = None) -> Any:
        return self

    def fit_transform(self, X: Any, y: Any = None, **params: Any) -> Any:
        return X

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        return X.assign(carat=X["carat"] * FACTOR)
