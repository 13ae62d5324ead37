"""Trains a small model and pickles it; run by the interpreter of the environment that it is to need."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

N = 60


def rows() -> pd.DataFrame:
    """Return the training rows."""
    return pd.DataFrame(
        {
            "x": np.linspace(-1.0, 1.0, N),
            "city": ["Oslo", "Rome", "Lyon"] * (N // 3),
            "note": ["good film", "bad film", "fine", "so so"] * (N // 4),
        }
    )


def features(words: object) -> ColumnTransformer:
    """Return the featurization, one branch a column."""
    return ColumnTransformer(
        [
            ("number", StandardScaler(), ["x"]),
            ("city", OneHotEncoder(handle_unknown="ignore"), ["city"]),
            ("note", words, "note"),
        ]
    )


def model(kind: str) -> object:
    """Return what is asked for, fitted."""
    frame, target = rows(), np.arange(N, dtype=float)
    if kind == "labels":
        line: object = LogisticRegression()
        return Pipeline([("features", features(TfidfVectorizer())), ("line", line)]).fit(
            frame, np.where(target > N / 2, "late", "early")
        )
    words: object = TfidfVectorizer()
    if kind == "lacking":
        import unidecode

        words = CountVectorizer(preprocessor=unidecode.unidecode)
    return Pipeline([("features", features(words)), ("line", Ridge())]).fit(frame, target)


if __name__ == "__main__":
    with open(sys.argv[2], "wb") as out:  # noqa: PTH123 - this runs wherever it is put
        pickle.dump(model(sys.argv[1]), out)
