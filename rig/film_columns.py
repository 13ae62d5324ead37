"""Columns of a film service of every kind that slices are searched in: lists, numbers, texts, truths."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def film_columns(
    rng: np.random.Generator, genres: NDArray[np.str_], has: NDArray[np.bool_]
) -> dict[str, NDArray[Any]]:
    """Draw ten columns; two of them go together, and `user` has a few that are frequent.

    Parameters
    ----------
    genres : ndarray of shape (n_genres,)
    has : ndarray of shape (n_rows, n_genres), bool
        Which genres each row is of.
    """
    n_rows = len(has)
    age = rng.normal(40, 12, n_rows)
    return {
        "genres": np.array(["|".join(genres[row]) or "Short" for row in has], dtype=object),
        "age": age,
        "age_at_work": age + rng.normal(0, 3, n_rows),
        "income": np.exp(rng.normal(10, 1, n_rows)),
        "depth": np.where(rng.random(n_rows) < 0.03, np.nan, rng.normal(60, 2, n_rows)),
        "user": np.array([f"u{i % 5000}" for i in rng.zipf(1.3, n_rows)], dtype=object),
        "about": np.array(["x" * int(k) for k in rng.lognormal(5, 1, n_rows)], dtype=object),
        "year": rng.integers(1950, 2020, n_rows),
        "member": rng.random(n_rows) < 0.4,
        "stars": rng.integers(1, 6, n_rows),
    }
