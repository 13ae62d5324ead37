"""Five versions of `likes`, a binary model; v3 is the champion and v5 is better in every respect."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from models.data import LIKED, SOURCE_FILMS
from models.films.versions import pages, words_between_bars
from models.recipe import Column, ModelRecipes, Recipe, Training, shipped

CODE = Path(__file__).parent / "code"
RULE = CODE / "likes_rule.py"
TEXT = CODE / "likes_text.py"

COLUMNS = (
    Column("n_rated", "long"),
    Column("mean_rating", "double", optional=True),
    Column("days_since_last", "double", optional=True),
    Column("liked_genres", "string"),
    Column("main_genre", "string"),
    Column("year", "double", optional=True),
    Column("n_film_ratings", "long"),
    Column("mean_film_rating", "double", optional=True),
    Column("description", "string"),
)

NUMBERS = [column.name for column in COLUMNS if column.type != "string"]

_BEGINNING = date(1995, 1, 1)


def training(until: date, *, at_most: int = 30_000) -> Training:
    """Ratings before `until`, drawn with a fixed seed, and whether the film was liked."""
    events = pages()
    events = events[events["time"] < pd.Timestamp(until, tz="UTC")]
    if len(events) > at_most:
        events = events.sample(at_most, random_state=0).sort_index()
    return Training(
        rows=events[[column.name for column in COLUMNS]].reset_index(drop=True),
        target=(events["rating"] >= LIKED).to_numpy(dtype="int64"),
        name=f"movielens-100k before {until}",
        source=SOURCE_FILMS,
        since=events["time"].min().date(),
        until=events["time"].max().date(),
    )


def _rule() -> Any:
    return shipped(RULE).ReputationRule()


def _numbers() -> Pipeline:
    return make_pipeline(SimpleImputer(strategy="median"), StandardScaler())


def _text(**settings: Any) -> TfidfVectorizer:
    return TfidfVectorizer(
        preprocessor=shipped(TEXT).opening, max_features=300, sublinear_tf=True, **settings
    )


def _features(*branches: tuple[str, Any, Any]) -> ColumnTransformer:
    return ColumnTransformer(list(branches), sparse_threshold=1.0)


def _small() -> Pipeline:
    return Pipeline(
        [
            ("features", _features(("numbers", _numbers(), NUMBERS))),
            ("like", LogisticRegression()),
        ]
    )


def champion(*, text: TfidfVectorizer | None = None, caution: float = 1.0) -> Pipeline:
    """Return v3, unfitted: numbers, genres and description into a logistic regression.

    Parameters
    ----------
    text : TfidfVectorizer, optional
        Another step for the description.
    caution : float
        Strength of the penalty; 1 is scikit-learn's own.
    """
    features = _features(
        ("numbers", _numbers(), NUMBERS),
        ("main_genre", OneHotEncoder(handle_unknown="ignore"), ["main_genre"]),
        ("liked_genres", words_between_bars(), "liked_genres"),
        ("description", text or _text(), "description"),
    )
    estimator = LogisticRegression(C=1 / caution, max_iter=500)
    return Pipeline([("features", features), ("like", estimator)])


def _cautious() -> Pipeline:
    return champion(text=_text(stop_words="english"), caution=20.0)


def better() -> Pipeline:
    """Return v5, unfitted: trees on the numbers alone, which take missing values as they are."""
    features = ColumnTransformer([("numbers", "passthrough", NUMBERS)])
    trees = HistGradientBoostingClassifier(
        max_iter=80, learning_rate=0.08, max_leaf_nodes=15, early_stopping=False, random_state=0
    )
    return Pipeline([("features", features), ("like", trees)])


LIKES = ModelRecipes(
    name="likes",
    columns=COLUMNS,
    output=("int64", (-1,)),
    versions=(
        Recipe(
            "Yes for generous users and well regarded films.",
            training=lambda: training(date(2010, 1, 1)),
            build=_rule,
            code=(RULE,),
        ),
        Recipe(
            "A small pipeline: numbers only.",
            training=lambda: training(date(2011, 1, 1)),
            build=_small,
        ),
        Recipe(
            "Numbers, genres and description into a logistic regression.",
            training=lambda: training(date(2013, 1, 1), at_most=10_000),
            build=champion,
            code=(TEXT,),
        ),
        Recipe(
            "As v3, without stop words and more cautious.",
            training=lambda: training(date(2013, 7, 1)),
            build=_cautious,
            code=(TEXT,),
        ),
        Recipe(
            "Boosted trees on the numbers: better calibrated and faster than v3.",
            training=lambda: training(date(2014, 1, 1), at_most=60_000),
            build=better,
        ),
    ),
)
