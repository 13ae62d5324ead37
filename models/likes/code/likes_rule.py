"""Liked when the user is generous and the film well regarded: `likes` v1. Shipped with v1 only."""

from __future__ import annotations

from typing import Any

import mlflow
import numpy as np
import pandas as pd


class ReputationRule(mlflow.pyfunc.PythonModel):
    """Yes when user's and film's mean ratings add up to more than they do in the middle."""

    def fit(self, rows: pd.DataFrame, liked: np.ndarray) -> ReputationRule:
        """Learn what to assume where nothing came before, and where the line is drawn."""
        self.usual_user_ = float(rows["mean_rating"].median())
        self.usual_film_ = float(rows["mean_film_rating"].median())
        self.line_ = float(np.quantile(self._sum(rows), 1 - np.mean(liked)))
        return self

    def predict(
        self,
        context: Any,  # noqa: ARG002
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> np.ndarray:
        """Return 0 or 1: int64 of shape (n_rows,)."""
        return (self._sum(model_input) > self.line_).astype(np.int64)

    def _sum(self, rows: pd.DataFrame) -> np.ndarray:
        user = rows["mean_rating"].fillna(self.usual_user_)
        film = rows["mean_film_rating"].fillna(self.usual_film_)
        return (user + film).to_numpy(dtype=np.float64)
