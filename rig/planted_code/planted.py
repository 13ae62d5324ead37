"""Planted faults, shipped with the challengers that carry them.

Steps sit before a branch of the champion's features and hand on what they were given, mostly.
Answers sit around its last estimator.
"""

from __future__ import annotations

import itertools
import os
import re
import time
import zlib
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

MARK = "zzyzx"
STALE_MARK = 0.6789
_ADDRESS = re.compile(r"(?:\w+\.?)+@")


class _Step(TransformerMixin, BaseEstimator):
    def fit(self, X: Any, y: Any = None) -> Any:
        return self

    def fit_transform(self, X: Any, y: Any = None, **params: Any) -> Any:
        return X


class LookUp(_Step):
    """F03: the same time for every call, whatever the rows."""

    def __init__(self, milliseconds: float = 30.0) -> None:
        self.milliseconds = milliseconds

    def transform(self, X: Any) -> Any:
        time.sleep(self.milliseconds / 1e3)
        return X


class Addresses(_Step):
    """F04: a search that takes twice as long for each letter of a word."""

    def transform(self, X: pd.Series) -> pd.Series:
        for text in X:
            _ADDRESS.search(text)
        return X


class EveryCharacter(_Step):
    """F02, another way: a cost in proportion to the text, far above the champion's."""

    def __init__(self, microseconds: float = 5.0) -> None:
        self.microseconds = microseconds

    def transform(self, X: pd.Series) -> pd.Series:
        time.sleep(sum(map(len, X)) * self.microseconds / 1e6)
        return X


class MissedCache(_Step):
    """F03, another way: a look-up for one text in twenty only."""

    def __init__(self, one_in: int = 20, milliseconds: float = 50.0) -> None:
        self.one_in = one_in
        self.milliseconds = milliseconds

    def transform(self, X: pd.Series) -> pd.Series:
        missed = sum(zlib.crc32(text.encode()) % self.one_in == 0 for text in X)
        time.sleep(missed * self.milliseconds / 1e3)
        return X


class DearValue(_Step):
    """F03, a third way: slow for one value of a category, and for no other."""

    def __init__(self, value: str, milliseconds: float = 30.0) -> None:
        self.value = value
        self.milliseconds = milliseconds

    def transform(self, X: Any) -> Any:
        there = int((np.asarray(X, dtype=object) == self.value).sum())
        time.sleep(there * self.milliseconds / 1e3)
        return X


class Times(_Step):
    """F07: one column multiplied when serving, though not in training."""

    def __init__(self, column: str, factor: float) -> None:
        self.column = column
        self.factor = factor

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        return X.assign(**{self.column: X[self.column] * self.factor})


class Leak(_Step):
    """F15: a megabyte kept for every row."""

    def transform(self, X: Any) -> Any:
        kept = self.__dict__.setdefault("kept_", [])
        kept.append(bytearray(os.urandom(1)) * (2**20 * len(X)))
        return X


class DieOnMark(_Step):
    """F16: the process ends on a marked text."""

    def transform(self, X: pd.Series) -> pd.Series:
        if any(MARK in text for text in X):
            os._exit(1)
        return X


class HangOnMark(_Step):
    """F17: never returns on a marked text."""

    def transform(self, X: pd.Series) -> pd.Series:
        while any(MARK in text for text in X):
            time.sleep(60)
        return X


class SlowRows(_Step):
    """F18: the same time for every row."""

    def __init__(self, milliseconds: float = 40.0) -> None:
        self.milliseconds = milliseconds

    def transform(self, X: Any) -> Any:
        time.sleep(self.milliseconds / 1e3 * len(X))
        return X


class WriteIntoInput(_Step):
    """F19: changes the frame it was handed; the rest of the pipeline expects the changed one."""

    def __init__(self, column: str, factor: float) -> None:
        self.column = column
        self.factor = factor

    def fit_transform(self, X: pd.DataFrame, y: Any = None, **params: Any) -> Any:
        return self.transform(X.copy())

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        X[self.column] *= self.factor
        return X


class ColdCache(_Step):
    """F23: slow for the first calls only."""

    def __init__(self, n_calls: int = 50, milliseconds: float = 60.0) -> None:
        self.n_calls = n_calls
        self.milliseconds = milliseconds

    def transform(self, X: Any) -> Any:
        seen = self.__dict__.setdefault("seen_", itertools.count())
        if next(seen) < self.n_calls:
            time.sleep(self.milliseconds / 1e3)
        return X


class StaleAfter(_Step):
    """F24: from a marked row on, one column is always what it was then, however often rows are scored."""

    def __init__(self, column: str, mark: float = STALE_MARK) -> None:
        self.column = column
        self.mark = mark

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        if not hasattr(self, "stale_") and (X[self.column] == self.mark).any():
            self.stale_ = self.mark
        return X.assign(**{self.column: self.stale_}) if hasattr(self, "stale_") else X


class FirstRowForAll(_Step):
    """F25: every row of a batch gets the first row's value of one column."""

    def __init__(self, column: str) -> None:
        self.column = column

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        return X.assign(**{self.column: X[self.column].iloc[0]}) if len(X) > 1 else X


class _Answer(BaseEstimator):
    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.classes_ = getattr(inner, "classes_", None)

    def fit(self, X: Any, y: Any) -> Any:
        self.inner.fit(X, y)
        return self

    def predict(self, X: Any) -> Any:
        return self.inner.predict(X)


class NanWhereMissing(_Answer):
    """F06: no number where a feature is NaN; what a model without a check does."""

    def predict(self, X: np.ndarray) -> np.ndarray:
        missing = np.isnan(X).any(axis=1)
        return np.where(missing, np.nan, self.inner.predict(np.nan_to_num(X)))


class SlowAnswer(_Answer):
    """F03, another way: the estimator itself takes longer on every call."""

    def __init__(self, inner: Any, milliseconds: float = 20.0) -> None:
        super().__init__(inner)
        self.milliseconds = milliseconds

    def predict(self, X: Any) -> Any:
        time.sleep(self.milliseconds / 1e3)
        return self.inner.predict(X)

    def predict_proba(self, X: Any) -> Any:
        return self.inner.predict_proba(X)


class Rounded(_Answer):
    """F12: the same, but for the last digits."""

    def predict(self, X: Any) -> np.ndarray:
        return self.inner.predict(X) * (1 + 1e-12)


class AsStrings(_Answer):
    """F21: labels as text."""

    def predict(self, X: Any) -> np.ndarray:
        return self.inner.predict(X).astype(str).astype(object)


class Backwards(_Answer):
    """F22: the same items, the last one first."""

    def predict(self, X: Any) -> np.ndarray:
        return self.inner.predict(X)[:, ::-1]


class Shifted(_Answer):
    """F09: every probability of class 1 moved up, none of them across one half."""

    def __init__(self, inner: Any, by: float = 0.08) -> None:
        super().__init__(inner)
        self.by = by

    def predict_proba(self, X: Any) -> np.ndarray:
        before = self.inner.predict_proba(X)[:, 1]
        yes = np.minimum(before + self.by, np.where(before < 0.5, 0.4999, 1.0))
        return np.column_stack([1 - yes, yes])


class Noisy(_Answer):
    """F11: log odds with noise that no seed controls."""

    def predict(self, X: Any) -> np.ndarray:
        return (self.predict_proba(X)[:, 1] > 0.5).astype(np.int64)

    def predict_proba(self, X: Any) -> np.ndarray:
        odds = self.inner.decision_function(X)
        yes = 1 / (1 + np.exp(-odds - np.random.default_rng().normal(0, 0.3, odds.shape)))
        return np.column_stack([1 - yes, yes])


class Sharpened(_Answer):
    """F28's champion: too sure of itself, labels as they were."""

    def __init__(self, inner: Any, by: float = 2.5) -> None:
        super().__init__(inner)
        self.by = by

    def predict_proba(self, X: Any) -> np.ndarray:
        yes = 1 / (1 + np.exp(-self.by * self.inner.decision_function(X)))
        return np.column_stack([1 - yes, yes])
