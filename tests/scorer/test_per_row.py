"""What is known, by structure, to look at one row at a time; everything else is unknown code."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.decomposition import NMF
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestRegressor, StackingRegressor, VotingRegressor
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    SplineTransformer,
    StandardScaler,
)
from sklearn.svm import SVR

from rig.registry import FRAME
from shadowserve.scorer.loading import unknown_part

TEXT = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "s": ["red", "blue", "red gold", "blue"]})
TARGET = [1.0, 2.0, 4.0, 3.0]


class Centred(StandardScaler):
    """A stock scaler's subclass that centres whatever comes."""

    def transform(self, X, copy=None):
        return X - np.mean(X, axis=0)


class Mean(LinearRegression):
    def predict(self, X):
        return np.full(len(X), super().predict(X).mean())


def stock():
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(KBinsDiscretizer(2), StandardScaler(with_mean=False)), ["a"]),
            ("curve", SplineTransformer(), make_column_selector(dtype_include="number")),
            ("kind", OneHotEncoder(handle_unknown="ignore"), ["s"]),
            ("words", CountVectorizer(), "s"),
        ]
    )
    tree = RandomForestRegressor(n_estimators=3, random_state=0)
    return make_pipeline(columns, StackingRegressor([("r", Ridge()), ("t", tree)], cv=2))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_pipeline_of_stock_parts_is_known():
    assert unknown_part(stock().fit(TEXT, TARGET)) is None


def own(_):
    return 1.0


@pytest.mark.parametrize(
    ("model", "part"),
    [
        (Mean(), "Mean"),
        (make_pipeline(Centred(), Ridge()), "Centred in Pipeline.steps"),
        (make_pipeline(FunctionTransformer(lambda X: X - X.mean()), Ridge()), "a function of FunctionTransformer"),
        (make_pipeline(FunctionTransformer(np.frompyfunc(own, 1, 1)), Ridge()), "a function of FunctionTransformer"),
        (make_pipeline(FunctionTransformer(np.sort), Ridge()), "a function of FunctionTransformer"),
        (make_pipeline(FeatureUnion([("a", Centred())]), Ridge()), "Centred in FeatureUnion"),
        (VotingRegressor([("a", Mean()), ("b", Ridge())]), "Mean in VotingRegressor"),
        (GridSearchCV(Mean(), {"copy_X": [True]}, cv=2), "Mean in GridSearchCV.best_estimator_"),
        (SVR(kernel=lambda a, b: a @ b.T), None),
        (KNeighborsRegressor(2, algorithm="brute"), "KNeighborsRegressor"),
        (KNeighborsRegressor(2, weights=lambda d: d, algorithm="kd_tree"), "a function in KNeighborsRegressor.weights"),
        (make_pipeline(NMF(1, init="random"), Ridge()), "NMF in Pipeline.steps"),
        (TransformedTargetRegressor(Ridge(), func=np.cumsum, inverse_func=np.cumsum, check_inverse=False), None),
    ],
    ids=lambda each: each if isinstance(each, str) else type(each).__name__,
)  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_what_anybody_else_wrote_within_a_pipeline_is_unknown(model, part):
    found = unknown_part(model.fit(FRAME.abs(), FRAME["a"]))
    assert found is not None
    assert part is None or found.startswith(part)


def test_a_callable_of_a_vectorizer_is_unknown():
    seen = CountVectorizer(analyzer=str.split)
    model = make_pipeline(ColumnTransformer([("words", seen, "s")]), Ridge()).fit(TEXT, TARGET)
    assert unknown_part(model) == "a function in CountVectorizer.analyzer"


def test_numpys_own_functions_of_one_number_are_known():
    model = make_pipeline(FunctionTransformer(np.log1p, np.expm1), Ridge()).fit(FRAME, FRAME["a"])
    assert unknown_part(model) is None
    model = TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1)
    assert unknown_part(model.fit(FRAME.abs(), FRAME["a"].abs())) is None


def test_a_method_put_on_one_object_is_unknown():
    model = make_pipeline(StandardScaler(), Ridge()).fit(FRAME, FRAME["a"])
    model[0].transform = lambda X: X - np.mean(X)
    assert unknown_part(model) is not None


def test_a_class_that_only_bears_a_stock_name_is_unknown():
    pretender = type("Ridge", (Ridge,), {"__module__": Ridge.__module__})
    assert unknown_part(pretender().fit(FRAME, FRAME["a"])) is not None


def test_a_patched_library_makes_everything_unknown(monkeypatch):
    model = make_pipeline(StandardScaler(), Ridge()).fit(FRAME, FRAME["a"])
    assert unknown_part(model) is None
    monkeypatch.setattr(StandardScaler, "transform", lambda self, X: X - np.mean(X))
    assert "replaced" in unknown_part(model)


def test_a_patched_function_of_a_library_makes_everything_unknown(monkeypatch):
    import sklearn.utils.validation

    monkeypatch.setattr(sklearn.utils.validation, "check_array", lambda X, **_: X - np.mean(X))
    assert "replaced" in unknown_part(Ridge().fit(FRAME, FRAME["a"]))


def test_a_guess_by_chance_is_unknown():
    """Drawn with a fixed seed, an answer depends on the row's place in the call."""
    chance = DummyClassifier(strategy="stratified", random_state=0)
    assert unknown_part(chance.fit(FRAME, FRAME["a"] > 0)) is not None
    assert unknown_part(LogisticRegression().fit(FRAME, FRAME["a"] > 1)) is None


def test_a_booster_is_known():
    import lightgbm

    model = lightgbm.LGBMRegressor(n_estimators=2, min_child_samples=1, verbose=-1)
    model.fit(np.arange(40.0).reshape(20, 2), np.arange(20.0))
    assert unknown_part(model) is None
    assert unknown_part(model.booster_) is None
    assert unknown_part(object()) == "object"
