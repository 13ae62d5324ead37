"""Five versions of `diamonds`, a regression; three stones in a hundred come without a depth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, PolynomialFeatures, StandardScaler

from models.data import SOURCE_DIAMONDS
from models.data import diamonds as all_diamonds
from models.recipe import Column, ModelRecipes, Recipe, Training, shipped

CODE = Path(__file__).parent / "code"
RULE = CODE / "diamonds_rule.py"

COLUMNS = (
    Column("carat", "double"),
    Column("cut", "string"),
    Column("color", "string"),
    Column("clarity", "string"),
    Column("depth", "double", optional=True),
    Column("table", "double"),
    Column("x", "double"),
    Column("y", "double"),
    Column("z", "double"),
)

NUMBERS = [column.name for column in COLUMNS if column.type == "double"]
CATEGORIES = [column.name for column in COLUMNS if column.type == "string"]

FIRST_FOR_SALE = 40_000
"""Stones from this place on are traffic; no version was trained on them."""


def training(n_stones: int) -> Training:
    """Return the first stones sold and their prices. They carry no dates, and none are made up."""
    stones = all_diamonds().iloc[:n_stones]
    return Training(
        rows=stones[[column.name for column in COLUMNS]],
        target=stones["price"].to_numpy(dtype="float64"),
        name=f"diamonds, the first {n_stones:,}",
        source=SOURCE_DIAMONDS,
    )


def _rule() -> Any:
    return shipped(RULE).CaratRule()


def _numbers(*more: Any) -> Pipeline:
    return make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), *more)


def _log_price(estimator: Any) -> TransformedTargetRegressor:
    return TransformedTargetRegressor(estimator, func=np.log, inverse_func=np.exp)


def _small() -> Pipeline:
    features = ColumnTransformer([("numbers", _numbers(), ["carat", "depth", "table"])])
    return Pipeline([("features", features), ("price", Ridge())])


def champion(*, more: tuple[Any, ...] = (), penalty: float = 1.0) -> Pipeline:
    """Return v3, unfitted: measures and categories into a ridge regression of the log price.

    Parameters
    ----------
    more : tuple of transformers
        Further steps for the numbers.
    penalty : float
        Weight of the squared coefficients.
    """
    features = ColumnTransformer(
        [
            ("numbers", _numbers(*more), NUMBERS),
            ("categories", OneHotEncoder(handle_unknown="ignore"), CATEGORIES),
        ],
        sparse_threshold=0.0,
    )
    return Pipeline([("features", features), ("price", _log_price(Ridge(alpha=penalty)))])


def _bent() -> Pipeline:
    return champion(more=(PolynomialFeatures(2, include_bias=False),), penalty=100.0)


def _trees() -> Pipeline:
    levels = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    features = ColumnTransformer(
        [("numbers", "passthrough", NUMBERS), ("categories", levels, CATEGORIES)]
    )
    trees = HistGradientBoostingRegressor(
        max_iter=120, learning_rate=0.15, early_stopping=False, random_state=0
    )
    return Pipeline([("features", features), ("price", _log_price(trees))])


DIAMONDS = ModelRecipes(
    name="diamonds",
    columns=COLUMNS,
    output=("float64", (-1,)),
    versions=(
        Recipe(
            "The usual price of a carat, by cut.",
            training=lambda: training(10_000),
            build=_rule,
            code=(RULE,),
        ),
        Recipe(
            "A small pipeline: carat, depth and table.",
            training=lambda: training(20_000),
            build=_small,
        ),
        Recipe(
            "Measures and categories, log price.",
            training=lambda: training(30_000),
            build=champion,
        ),
        Recipe(
            "As v3, with squares and products of the measures.",
            training=lambda: training(30_000),
            build=_bent,
        ),
        Recipe(
            "Boosted trees on the log price; a third more stones.",
            training=lambda: training(40_000),
            build=_trees,
        ),
    ),
)
