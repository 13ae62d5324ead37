"""The ten most liked films of the page's genre: `films` v1. Shipped with v1 only."""

from __future__ import annotations

from typing import Any

import mlflow
import numpy as np
import pandas as pd

N_ANSWERS = 10


class PopularityRule(mlflow.pyfunc.PythonModel):
    """Answer what most people liked among films of the same first genre, then overall."""

    def fit(self, rows: pd.DataFrame, liked: np.ndarray) -> PopularityRule:
        """Count likes by the first genre of the page; `liked` is the film liked next, (n_rows,)."""
        votes = pd.DataFrame({"genre": _first(rows["genres"]), "film": liked})
        self.overall_ = _most_liked(votes["film"])
        by_genre = votes.groupby("genre")["film"].apply(_most_liked)
        self.by_genre_ = {str(genre): self._fill_up(films) for genre, films in by_genre.items()}
        return self

    def predict(
        self,
        context: Any,  # noqa: ARG002
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> np.ndarray:
        """Return film ids, best first: int64 of shape (n_rows, 10)."""
        answers = [
            self.by_genre_.get(genre, self.overall_) for genre in _first(model_input["genres"])
        ]
        return np.array(answers, dtype=np.int64).reshape(-1, N_ANSWERS)

    def _fill_up(self, films: list[int]) -> list[int]:
        return [*films, *(film for film in self.overall_ if film not in films)][:N_ANSWERS]


def _first(genres: pd.Series) -> list[str]:
    return [text.partition("|")[0] for text in genres]


def _most_liked(films: pd.Series) -> list[int]:
    return [int(film) for film in films.value_counts().index[:N_ANSWERS]]
