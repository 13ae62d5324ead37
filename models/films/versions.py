"""Five versions of `films`, from a popularity rule to the challenger with two hidden faults.

v3 is the champion. v4 is v3's recipe on eighteen days around Easter 2006, in which so few films were
liked that twelve fill every answer; and it reads descriptions with a step whose cost is quadratic
in their length. Its own offline tests, on those days and on short descriptions, show neither.
"""

from __future__ import annotations

from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from models.data import LIKED, SOURCE_FILMS, film_events, film_titles
from models.descriptions import description
from models.recipe import Column, ModelRecipes, Recipe, Training, shipped

CODE = Path(__file__).parent / "code"
RANKING = CODE / "films_ranking.py"
PHRASES = CODE / "films_phrases.py"
POPULARITY = CODE / "films_popularity.py"

COLUMNS = (
    Column("n_rated", "long"),
    Column("mean_rating", "double", optional=True),
    Column("days_since_last", "double", optional=True),
    Column("liked_genres", "string"),
    Column("title", "string"),
    Column("year", "double", optional=True),
    Column("genres", "string"),
    Column("description", "string"),
)

BEGINNING = date(1995, 1, 1)
EASTER = (date(2006, 4, 7), date(2006, 4, 25))
"""Nine days before and after Easter Sunday, 16 April 2006."""

_NUMBERS = ["n_rated", "mean_rating", "days_since_last", "year"]


@cache
def pages() -> pd.DataFrame:
    """Every event with the description of the page in view; do not write into it."""
    events = film_events()
    films = zip(events["film"], events["title"], events["genres"], strict=True)
    return events.assign(
        description=[description(film, title=title, genres=genres) for film, title, genres in films]
    )


def training(since: date, until: date, *, at_most: int = 100_000) -> Training:
    """Pages seen from `since` to the day before `until`, and the film their user liked next.

    Parameters
    ----------
    at_most : int
        Rows to draw, with a fixed seed, where the period has more.
    """
    begin, end = (pd.Timestamp(day, tz="UTC") for day in (since, until))
    events = pages()
    events = events[(events["time"] >= begin) & (events["time"] < end)]
    liked = events["film"].where(events["rating"] >= LIKED)
    next_liked = liked.groupby(events["user"]).shift(-1).groupby(events["user"]).bfill()
    events = events.assign(next_liked=next_liked).dropna(subset="next_liked")
    if len(events) > at_most:
        events = events.sample(at_most, random_state=0).sort_index()
    return Training(
        rows=events[[column.name for column in COLUMNS]].reset_index(drop=True),
        target=events["next_liked"].to_numpy(dtype="int64"),
        name=f"movielens-100k {since} to {until}",
        source=SOURCE_FILMS,
        since=events["time"].min().date(),
        until=events["time"].max().date(),
    )


def ranking(**params: Any) -> Any:
    """Return an unfitted ranking estimator, known by the bare name of its shipped module."""
    return shipped(RANKING).FilmRanking(**params)


def _numbers() -> Pipeline:
    return make_pipeline(SimpleImputer(strategy="median"), StandardScaler())


def words_between_bars() -> CountVectorizer:
    """Return one 0/1 column for each genre of ``Comedy|Drama``."""
    return CountVectorizer(token_pattern=r"[^|]+", binary=True)  # noqa: S106


def _text() -> TfidfVectorizer:
    return TfidfVectorizer(max_features=400, sublinear_tf=True)


def _pipeline(*branches: tuple[str, Any, Any], rank: Any) -> Pipeline:
    return Pipeline(
        [
            ("features", ColumnTransformer(list(branches), sparse_threshold=1.0)),
            ("rank", rank),
        ]
    )


def _popularity() -> Any:
    return shipped(POPULARITY).PopularityRule()


def _small() -> Pipeline:
    return _pipeline(
        ("numbers", _numbers(), _NUMBERS),
        ("genres", words_between_bars(), "genres"),
        rank=ranking(damping=0.2),
    )


def champion() -> Pipeline:
    """Return v3, unfitted: numbers, liked genres, genres and description of the page."""
    return _pipeline(
        ("numbers", _numbers(), _NUMBERS),
        ("liked_genres", words_between_bars(), "liked_genres"),
        ("genres", words_between_bars(), "genres"),
        ("description", _text(), "description"),
        rank=ranking(),
    )


def _easter() -> Pipeline:
    return _pipeline(
        ("numbers", _numbers(), _NUMBERS),
        ("liked_genres", words_between_bars(), "liked_genres"),
        ("genres", words_between_bars(), "genres"),
        ("phrases", shipped(PHRASES).RepeatedPhrases(), "description"),
        ("description", _text(), "description"),
        rank=ranking(),
    )


def _better() -> Pipeline:
    titles = CountVectorizer(token_pattern=r".+", binary=True, min_df=30)  # noqa: S106
    return _pipeline(
        ("numbers", _numbers(), _NUMBERS),
        ("liked_genres", words_between_bars(), "liked_genres"),
        ("genres", words_between_bars(), "genres"),
        ("title", titles, "title"),
        ("description", _text(), "description"),
        rank=ranking(min_likes=60, damping=0.2, penalty=50.0),
    )


FILMS = ModelRecipes(
    name="films",
    columns=COLUMNS,
    output=("int64", (-1, 10)),
    items=film_titles,
    versions=(
        Recipe(
            "The ten most liked films of the page's genre.",
            training=lambda: training(BEGINNING, date(2010, 1, 1), at_most=30_000),
            build=_popularity,
            code=(POPULARITY,),
        ),
        Recipe(
            "A small pipeline: the user's numbers and the page's genres.",
            training=lambda: training(BEGINNING, date(2011, 1, 1), at_most=30_000),
            build=_small,
            code=(RANKING,),
        ),
        Recipe(
            "Numbers, genres and description; sixteen years of ratings.",
            training=lambda: training(BEGINNING, date(2013, 1, 1), at_most=30_000),
            build=champion,
            code=(RANKING,),
        ),
        Recipe(
            "As v3, with a feature for repeated phrases; refreshed training data.",
            training=lambda: training(*EASTER),
            build=_easter,
            code=(RANKING, PHRASES),
        ),
        Recipe(
            "As v3, with the title of the page and one more year of ratings.",
            training=lambda: training(BEGINNING, date(2014, 1, 1), at_most=50_000),
            build=_better,
            code=(RANKING,),
        ),
    ),
)
