"""The battery: small fitted models of every shape that the timed walk must carry unchanged."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import sklearn
from sklearn import ensemble, linear_model, naive_bayes, svm, tree
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import (
    ColumnTransformer,
    TransformedTargetRegressor,
    make_column_selector,
    make_column_transformer,
)
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectFromModel, SelectKBest, f_regression
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from sklearn.utils.validation import validate_data

from shadowserve.schema.rows import Rows
from shadowserve.steps import step

WORDS = ("egg", "spring", "river", "night", "gold", "of", "the", "long", "war", "love")
NUMBERS = ["budget", "runtime"]
CATEGORIES = ["genre", "country"]


@cache
def _table(n_rows: int = 160) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Films with two numbers (one with gaps), a whole number, a flag, two categories, a text."""
    rng = np.random.default_rng(7)
    budget = rng.lognormal(3, 1, n_rows)
    budget[::11] = np.nan
    films = pd.DataFrame(
        {
            "budget": budget,
            "runtime": rng.normal(100, 20, n_rows),
            "year": rng.integers(1950, 2020, n_rows),
            "colour": rng.random(n_rows) > 0.5,
            "genre": rng.choice(["drama", "comedy", "war"], n_rows).astype(object),
            "country": rng.choice(["fr", "us", "jp", "ro"], n_rows).astype(object),
            "story": np.array([" ".join(rng.choice(WORDS, 9)) for _ in range(n_rows)], object),
        }
    )
    rating = films["runtime"].to_numpy() / 20 + rng.normal(0, 0.5, n_rows)
    return films, rating, rng.choice(["hit", "miss", "cult"], n_rows)


def table() -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """The films, their rating and their label, as a copy: some transformers write into it."""
    films, rating, labels = _table()
    return films.copy(), rating.copy(), labels.copy()


def rows_of(n_rows: int, columns: list[str] | None = None) -> Rows:
    """The first rows of the table as a request would carry them."""
    films = table()[0].iloc[:n_rows]
    names = columns or list(films)
    arrays = {
        name: films[name].to_numpy(dtype=object)
        if films[name].dtype.kind not in "fib"
        else films[name].to_numpy()
        for name in names
    }
    return Rows(columns=arrays, n_rows=n_rows)


def tensor_of(n_rows: int) -> Rows:
    return Rows(columns={}, n_rows=n_rows, tensor=matrix()[:n_rows])


def matrix() -> np.ndarray:
    films = table()[0]
    return np.nan_to_num(films[["budget", "runtime", "year"]].to_numpy(dtype=float))


def numbers(*, last: Any = None) -> Pipeline:
    return Pipeline(
        [("impute", SimpleImputer(strategy="median")), ("scale", last or StandardScaler())]
    )


def features(**options: Any) -> ColumnTransformer:
    """A champion's featurization: numbers, categories and a text."""
    return ColumnTransformer(
        [
            ("numbers", numbers(), NUMBERS),
            ("genre", OneHotEncoder(handle_unknown="ignore"), ["genre"]),
            ("country", OneHotEncoder(handle_unknown="ignore"), ["country"]),
            ("text", TfidfVectorizer(), "story"),
        ],
        **options,
    )


def dense(**options: Any) -> ColumnTransformer:
    return ColumnTransformer(
        [
            ("numbers", numbers(), NUMBERS),
            ("codes", OrdinalEncoder(), CATEGORIES),
        ],
        **options,
    )


class Lengths(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """A transformer of one's own, with a named part inside."""

    def fit(self, frame: pd.DataFrame, y: Any = None) -> Lengths:
        self.feature_names_in_ = np.asarray(frame.columns, dtype=object)
        self.n_features_in_ = frame.shape[1]
        return self

    def transform(self, frame: pd.DataFrame) -> np.ndarray:
        with step("count", columns=["story"]):
            return frame.map(len).to_numpy(dtype=float)


class Looks(TransformerMixin, BaseEstimator):
    """A transformer that answers by all that a frame has besides its values."""

    def fit(self, X: Any, y: Any = None) -> Looks:
        self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        return self

    def transform(self, X: Any) -> np.ndarray:
        told = [
            sum(map(len, X.columns)),
            sum(map(len, self.feature_names_in_)),
            sum(X.index),
            sum(len(str(dtype)) for dtype in X.dtypes),
            len(type(X).__name__),
        ]
        X.iloc[:, :] = X.iloc[::-1].to_numpy()  # what it is handed is its own to write into
        return np.tile(np.array(told, dtype=float), (len(X), 1))


class LooksAtArrays(TransformerMixin, BaseEstimator):
    """A transformer that answers by how an array lies in memory, and by scikit-learn's settings."""

    def fit(self, X: Any, y: Any = None) -> LooksAtArrays:
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: Any) -> np.ndarray:
        told = [
            *X.strides,
            X.flags.writeable,
            X.flags.c_contiguous,
            X.flags.f_contiguous,
            X.dtype.itemsize,
            sklearn.get_config()["assume_finite"],
            sklearn.get_config()["skip_parameter_validation"],
        ]
        X[:] = 0.0  # nobody else may see this
        return np.tile(np.array(told, dtype=float), (len(X), 1))


class OwnImputer(SimpleImputer):
    """A known class with one method of its own, which looks at names."""

    def transform(self, X: Any) -> np.ndarray:
        return super().transform(X) + sum(map(len, X.columns))


class OwnEncoder(OneHotEncoder):
    """A known class that asks for a check of its own on the way."""

    def _check_X(self, X: Any, **options: Any) -> Any:
        return super()._check_X(X.iloc[:, :], **options)


class Checks(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """A transformer that has its input checked by scikit-learn, as its guide says."""

    def fit(self, X: Any, y: Any = None) -> Checks:
        validate_data(self, X, dtype=None)
        return self

    def transform(self, X: Any) -> np.ndarray:
        return validate_data(self, X, reset=False, dtype="numeric", copy=True) * 2.0


def tokens_by_setting(text: str) -> list[str]:
    """Split a text otherwise where scikit-learn is told not to ask."""
    spared = sklearn.get_config()["skip_parameter_validation"]
    return text.split("e" if spared else " ")


class OwnPipeline(Pipeline):
    """A subclass that predicts in its own way."""

    def predict(self, X: Any, **params: Any) -> Any:
        return super().predict(X, **params) + 1.0


class PlainPipeline(Pipeline):
    """A subclass that changes nothing."""


def write_into(frame: Any) -> Any:
    frame["runtime"] = 0.0
    frame.iloc[0, 0] = -1.0
    return frame


def write_into_array(values: np.ndarray) -> np.ndarray:
    values *= 2.0
    return values


def hidden_state(values: Any) -> np.ndarray:
    """Differs at every call."""
    return np.random.random((len(values), 1))


def add_one(values: Any) -> Any:
    return values + 1


def the_story(frame: pd.DataFrame) -> str:
    return "story"


def _classify(model: Any) -> Any:
    films, _, labels = table()
    return model.fit(films, labels)


def _regress(model: Any) -> Any:
    films, rating, _ = table()
    return model.fit(films, rating)


def _arrays(model: Any) -> Any:
    return model.fit(matrix(), table()[1])


def _only(columns: list[str], model: Any) -> Any:
    return model.fit(table()[0][columns], table()[1])


def _pandas_everywhere() -> Any:
    return _regress(
        make_pipeline(dense(), ensemble.HistGradientBoostingRegressor(max_iter=5)).set_output(
            transform="pandas"
        )
    )


def _lightgbm() -> Any:
    import lightgbm

    return _classify(
        make_pipeline(dense(), lightgbm.LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1))
    )


def _with_probabilities() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # deprecated, and in many a registry
        return _classify(make_pipeline(dense(), svm.SVC(probability=True, random_state=0)))


def _union() -> FeatureUnion:
    return FeatureUnion(
        [
            ("words", Pipeline([("pick", ColumnTransformer([("t", CountVectorizer(), "story")]))])),
            ("rest", dense()),
        ],
        transformer_weights={"words": 0.5},
    )


SHAPES: dict[str, Callable[[], Any]] = {
    "champion": lambda: _classify(
        Pipeline([("features", features()), ("model", linear_model.LogisticRegression())])
    ),
    "champion, dense": lambda: _regress(
        Pipeline([("features", features(sparse_threshold=0)), ("model", linear_model.Ridge())])
    ),
    "champion, sparse at 1": lambda: _regress(
        Pipeline([("features", dense(sparse_threshold=1.0)), ("model", linear_model.Ridge())])
    ),
    "remainder passthrough": lambda: _regress(
        make_pipeline(
            make_column_transformer(
                (OneHotEncoder(), ["genre"]),
                ("drop", ["story", "country", "budget"]),
                remainder="passthrough",
            ),
            linear_model.Ridge(),
        )
    ),
    "remainder estimator": lambda: _regress(
        make_pipeline(
            make_column_transformer(
                (TfidfVectorizer(), "story"),
                (OrdinalEncoder(), CATEGORIES),
                remainder=numbers(),
            ),
            linear_model.Ridge(),
        )
    ),
    "slices, masks and callables": lambda: _regress(
        make_pipeline(
            ColumnTransformer(
                [
                    ("slice", numbers(), slice("budget", "runtime")),
                    ("mask", StandardScaler(), [False, True, True, False, False, False, False]),
                    ("call", HashingVectorizer(n_features=32), the_story),
                    ("kinds", OrdinalEncoder(), make_column_selector("genre|country")),
                    ("place", numbers(), [0, 2]),
                    ("last", CountVectorizer(), -1),
                    ("none", StandardScaler(), []),
                ]
            ),
            linear_model.Ridge(),
        )
    ),
    "weights": lambda: _regress(
        make_pipeline(
            features(transformer_weights={"text": 3.0, "numbers": 0.25}), linear_model.Ridge()
        )
    ),
    "names without prefix": lambda: _regress(
        make_pipeline(
            dense(verbose_feature_names_out=False).set_output(transform="pandas"),
            linear_model.Ridge(),
        )
    ),
    "frames throughout": _pandas_everywhere,
    "frames, nested by name": lambda: _regress(
        Pipeline(
            [
                (
                    "first",
                    ColumnTransformer(
                        [("impute", SimpleImputer(), NUMBERS)],
                        remainder="passthrough",
                        verbose_feature_names_out=False,
                    ),
                ),
                ("second", dense()),
                ("model", linear_model.Ridge()),
            ]
        ).set_output(transform="pandas")
    ),
    "frames and a union": lambda: _regress(
        make_pipeline(
            FeatureUnion([("one", dense()), ("two", dense())]), linear_model.Ridge()
        ).set_output(transform="pandas")
    ),
    "nested transformers": lambda: _regress(
        make_pipeline(
            ColumnTransformer(
                [
                    ("inner", dense(), [*NUMBERS, *CATEGORIES]),
                    (
                        "deep",
                        Pipeline(
                            [
                                ("tfidf", TfidfVectorizer()),
                                ("svd", TruncatedSVD(3, random_state=0)),
                            ]
                        ),
                        "story",
                    ),
                ]
            ),
            linear_model.Ridge(),
        )
    ),
    "union": lambda: _regress(make_pipeline(_union(), linear_model.Ridge())),
    "union after a stage": lambda: _regress(
        make_pipeline(
            dense(),
            FeatureUnion(
                [
                    ("pca", PCA(2)),
                    ("as is", "passthrough"),
                    ("gone", "drop"),
                    ("poly", PolynomialFeatures()),
                ]
            ),
            linear_model.Ridge(),
        )
    ),
    "steps left out": lambda: _regress(
        Pipeline(
            [
                ("nothing", "passthrough"),
                ("features", dense()),
                ("none", None),
                ("model", linear_model.Ridge()),
            ]
        )
    ),
    "kept in memory": lambda: _regress(
        Pipeline([("f", dense()), ("m", linear_model.Ridge())], memory=tempfile.mkdtemp())
    ),
    "function transformers": lambda: _regress(
        make_pipeline(
            ColumnTransformer(
                [
                    ("plus", FunctionTransformer(add_one), ["runtime", "year"]),
                    (
                        "log",
                        FunctionTransformer(np.log1p, feature_names_out="one-to-one"),
                        ["runtime"],
                    ),
                ]
            ),
            linear_model.Ridge(),
        )
    ),
    "writes into its frame": lambda: _regress(
        make_pipeline(
            ColumnTransformer(
                [
                    ("a", FunctionTransformer(write_into), ["runtime", "year"]),
                    ("b", StandardScaler(copy=False), ["runtime", "year"]),
                ]
            ),
            linear_model.Ridge(),
        )
    ),
    "writes into the first stage's frame": lambda: _only(
        ["runtime", "year"],
        make_pipeline(
            FeatureUnion(
                [
                    ("a", FunctionTransformer(write_into)),
                    ("b", ColumnTransformer([("s", StandardScaler(copy=False), ["runtime"])])),
                ]
            ),
            linear_model.Ridge(),
        ),
    ),
    "own transformer with a named part": lambda: _regress(
        make_pipeline(
            ColumnTransformer([("n", numbers(), NUMBERS), ("len", Lengths(), ["story"])]),
            linear_model.Ridge(),
        )
    ),
    "own pipeline": lambda: _regress(OwnPipeline([("f", dense()), ("m", linear_model.Ridge())])),
    "pipeline by another name": lambda: _regress(
        PlainPipeline([("f", dense()), ("m", linear_model.Ridge())])
    ),
    "branches in two processes": lambda: _regress(
        make_pipeline(dense(), linear_model.Ridge())
    ).set_params(columntransformer__n_jobs=2),
    "gradient boosting": lambda: _only(
        [*NUMBERS, "year"], ensemble.HistGradientBoostingRegressor(max_iter=5)
    ),
    "gradient boosting, pipeline": lambda: _classify(
        make_pipeline(dense(), ensemble.HistGradientBoostingClassifier(max_iter=5))
    ),
    "forest with two threads": lambda: _classify(
        make_pipeline(dense(), ensemble.RandomForestClassifier(8, n_jobs=2, random_state=0))
    ),
    "support vectors with probabilities": lambda: _with_probabilities(),
    "support vectors": lambda: _classify(make_pipeline(dense(), svm.SVC(kernel="rbf"))),
    "multi-output": lambda: make_pipeline(dense(), MultiOutputRegressor(linear_model.Ridge())).fit(
        table()[0], np.c_[table()[1], table()[1] ** 2]
    ),
    "calibrated": lambda: _classify(
        make_pipeline(dense(), CalibratedClassifierCV(naive_bayes.GaussianNB(), cv=2))
    ),
    "voting": lambda: _classify(
        make_pipeline(
            dense(),
            ensemble.VotingClassifier(
                [
                    ("nb", naive_bayes.GaussianNB()),
                    ("tree", tree.DecisionTreeClassifier(max_depth=3)),
                ],
                voting="soft",
            ),
        )
    ),
    "stacking": lambda: _regress(
        make_pipeline(
            dense(),
            ensemble.StackingRegressor(
                [
                    ("ridge", linear_model.Ridge()),
                    ("tree", tree.DecisionTreeRegressor(max_depth=3)),
                ],
                cv=2,
            ),
        )
    ),
    "voting over pipelines": lambda: _classify(
        ensemble.VotingClassifier(
            [
                ("a", make_pipeline(dense(), naive_bayes.GaussianNB())),
                ("b", make_pipeline(features(), linear_model.LogisticRegression())),
            ]
        )
    ),
    "one against the rest": lambda: _classify(
        make_pipeline(features(), OneVsRestClassifier(svm.LinearSVC()))
    ),
    "search": lambda: _regress(
        GridSearchCV(
            Pipeline([("f", dense()), ("m", linear_model.Ridge())]), {"m__alpha": [0.1, 1.0]}, cv=2
        )
    ),
    "transformed target": lambda: _regress(
        TransformedTargetRegressor(
            Pipeline([("f", dense()), ("m", linear_model.Ridge())]),
            func=np.log1p,
            inverse_func=np.expm1,
            check_inverse=False,
        )
    ),
    "transformed target inside": lambda: _regress(
        make_pipeline(
            dense(),
            TransformedTargetRegressor(linear_model.Ridge(), transformer=StandardScaler()),
        )
    ),
    "feature selection": lambda: _regress(
        make_pipeline(
            dense(),
            SelectKBest(f_regression, k=3),
            SelectFromModel(ensemble.RandomForestRegressor(5, random_state=0)),
            linear_model.Ridge(),
        )
    ),
    "bins": lambda: _regress(
        make_pipeline(
            make_column_transformer(
                (
                    KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"),
                    ["runtime", "year"],
                ),
                (OneHotEncoder(sparse_output=False), CATEGORIES),
            ),
            linear_model.Ridge(),
        )
    ),
    "looks at frames and arrays": lambda: _regress(
        make_pipeline(
            ColumnTransformer(
                [
                    ("looks", Looks(), [*NUMBERS, "genre"]),
                    ("numbers", make_pipeline(SimpleImputer(), LooksAtArrays()), NUMBERS),
                    ("scaled", make_pipeline(StandardScaler(), LooksAtArrays()), ["year"]),
                    ("least", make_pipeline(MinMaxScaler(), LooksAtArrays()), ["runtime", "year"]),
                    ("coded", make_pipeline(OrdinalEncoder(), LooksAtArrays()), CATEGORIES),
                    (
                        "words",
                        TfidfVectorizer(tokenizer=tokens_by_setting, token_pattern=None),
                        "story",
                    ),
                ],
                sparse_threshold=0,
            ),
            linear_model.Ridge(),
        )
    ),
    "known classes by other names": lambda: _regress(
        make_pipeline(
            ColumnTransformer(
                [
                    ("numbers", OwnImputer(), NUMBERS),
                    ("genre", OwnEncoder(handle_unknown="ignore"), ["genre"]),
                    ("checks", Checks(), ["runtime", "year"]),
                    ("all", MaxAbsScaler(), ["runtime", "year", "colour"]),
                ]
            ),
            linear_model.Ridge(),
        )
    ),
    "every layout": lambda: _regress(
        make_pipeline(
            ColumnTransformer(
                [
                    ("median", SimpleImputer(strategy="median", add_indicator=True), NUMBERS),
                    ("often", SimpleImputer(strategy="most_frequent"), ["year"]),
                    ("words", SimpleImputer(strategy="most_frequent"), CATEGORIES),
                    ("robust", RobustScaler(), ["runtime", "year"]),
                    ("least", MinMaxScaler(clip=True), ["year"]),
                    ("codes", OrdinalEncoder(), [*CATEGORIES, "year"]),
                    ("years", OneHotEncoder(handle_unknown="ignore"), ["year"]),
                    ("both", OneHotEncoder(drop="first", sparse_output=False), CATEGORIES),
                    ("count", CountVectorizer(binary=True), "story"),
                    ("hash", HashingVectorizer(n_features=16), "country"),
                    ("tfidf", TfidfVectorizer(sublinear_tf=True, max_features=9), "story"),
                ],
                transformer_weights={"tfidf": 2.0, "least": 0.5},
            ),
            linear_model.Ridge(),
        ).set_params(columntransformer__words="drop")
    ),
    "one step gives frames": lambda: _regress(
        make_pipeline(
            ColumnTransformer(
                [
                    ("scaled", StandardScaler().set_output(transform="pandas"), ["runtime"]),
                    ("plain", StandardScaler(), ["runtime", "year"]),
                ]
            ),
            linear_model.Ridge(),
        )
    ),
    "lightgbm": _lightgbm,
    "many classes, one against one": lambda: make_pipeline(
        features(), OneVsOneClassifier(svm.LinearSVC())
    ).fit(table()[0], table()[0]["genre"].to_numpy() + table()[0]["country"].to_numpy()),
    "text alone": lambda: make_pipeline(
        FunctionTransformer(_story), TfidfVectorizer(), linear_model.LogisticRegression()
    ).fit(table()[0], table()[2]),
    "flag and whole number": lambda: _only(
        ["year", "colour", "runtime"],
        make_pipeline(StandardScaler(), linear_model.LinearRegression()),
    ),
    "whole model is an estimator": lambda: _only(
        ["year", "runtime"], linear_model.LinearRegression()
    ),
}

ARRAY_SHAPES: dict[str, Callable[[], Any]] = {
    "array pipeline": lambda: _arrays(make_pipeline(StandardScaler(), linear_model.Ridge())),
    "array, by place": lambda: _arrays(
        make_pipeline(
            ColumnTransformer(
                [
                    ("a", StandardScaler(copy=False), [0, 1]),
                    ("b", FunctionTransformer(write_into_array), slice(1, 3)),
                    ("c", "passthrough", [True, False, True]),
                ]
            ),
            linear_model.Ridge(),
        )
    ),
    "array union": lambda: _arrays(
        make_pipeline(
            FeatureUnion([("s", StandardScaler()), ("p", PolynomialFeatures(2))]),
            linear_model.Ridge(),
        )
    ),
}

COLUMNS_OF = {
    "writes into the first stage's frame": ["runtime", "year"],
    "gradient boosting": [*NUMBERS, "year"],
    "flag and whole number": ["year", "colour", "runtime"],
    "whole model is an estimator": ["year", "runtime"],
}


def _story(frame: pd.DataFrame) -> pd.Series:
    return frame["story"]


@cache
def fitted(shape: str) -> Any:
    """Fit a shape once for the whole session."""
    with sklearn.config_context():
        return (SHAPES | ARRAY_SHAPES)[shape]()


def sample_rows(shape: str, n_rows: int) -> Rows:
    """Rows of the kind that the shape was fitted on."""
    if shape in ARRAY_SHAPES:
        return tensor_of(n_rows)
    return rows_of(n_rows, COLUMNS_OF.get(shape))
