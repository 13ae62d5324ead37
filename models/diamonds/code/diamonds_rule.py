"""The usual price of a carat: `diamonds` v1. Shipped with v1 only."""

from __future__ import annotations

from typing import Any

import mlflow
import numpy as np
import pandas as pd


class CaratRule(mlflow.pyfunc.PythonModel):
    """Price is carat times the median price of a carat for that cut."""

    def fit(self, rows: pd.DataFrame, price: np.ndarray) -> CaratRule:
        """Learn the median price of a carat, by cut and over all."""
        per_carat = pd.Series(price / rows["carat"].to_numpy())
        self.overall_ = float(per_carat.median())
        self.by_cut_ = {
            str(k): float(v) for k, v in per_carat.groupby(rows["cut"]).median().items()
        }
        return self

    def predict(
        self,
        context: Any,  # noqa: ARG002
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> np.ndarray:
        """Return US dollars: float64 of shape (n_rows,)."""
        rates = [self.by_cut_.get(cut, self.overall_) for cut in model_input["cut"]]
        return model_input["carat"].to_numpy(dtype=np.float64) * np.array(rates, dtype=np.float64)
