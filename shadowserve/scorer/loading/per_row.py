"""Models that are known, by their structure, to look at one row at a time.

Requests of several callers may share a call of such a model: no row's answer depends on its
neighbours, beyond the last digits that sums in another order move. Known is what stands here, by
exact type: each entry was read for what its `predict` or `transform` does with other rows. A
subclass, a function, a shipped class, and a library that somebody patched are unknown code.
"""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

_PER_ROW = frozenset(
    # sklearn.<module>: its classes. Left out are, among others, NMF and MiniBatchNMF (one stop for all
    # rows), IterativeImputer, LatentDirichletAllocation, SparseCoder, KernelCenterer, LabelBinarizer
    # (looks at the kind of all its rows), MultiLabelBinarizer, LocalOutlierFactor, LabelSpreading,
    # BernoulliRBM (draws) and whatever has only fit_transform or fit_predict.
    f"sklearn.{module}.{name}"
    for module, names in {
        "pipeline": "Pipeline FeatureUnion",
        "compose._column_transformer": "ColumnTransformer make_column_selector",
        "compose._target": "TransformedTargetRegressor",
        "frozen._frozen": "FrozenEstimator",
        "impute._base": "SimpleImputer MissingIndicator",
        "impute._knn": "KNNImputer",
        "preprocessing._data": "Binarizer MaxAbsScaler MinMaxScaler Normalizer PowerTransformer "
        "QuantileTransformer RobustScaler StandardScaler",
        "preprocessing._discretization": "KBinsDiscretizer",
        "preprocessing._encoders": "OneHotEncoder OrdinalEncoder",
        "preprocessing._function_transformer": "FunctionTransformer",
        "preprocessing._polynomial": "PolynomialFeatures SplineTransformer",
        "preprocessing._target_encoder": "TargetEncoder",
        "feature_extraction.text": "CountVectorizer HashingVectorizer TfidfTransformer TfidfVectorizer",
        "feature_extraction._dict_vectorizer": "DictVectorizer",
        "feature_extraction._hash": "FeatureHasher",
        "feature_selection._univariate_selection": "GenericUnivariateSelect SelectFdr SelectFpr "
        "SelectFwe SelectKBest SelectPercentile",
        "feature_selection._variance_threshold": "VarianceThreshold",
        "feature_selection._from_model": "SelectFromModel",
        "feature_selection._rfe": "RFE RFECV",
        "feature_selection._sequential": "SequentialFeatureSelector",
        "decomposition._pca": "PCA",
        "decomposition._incremental_pca": "IncrementalPCA",
        "decomposition._truncated_svd": "TruncatedSVD",
        "decomposition._fastica": "FastICA",
        "decomposition._factor_analysis": "FactorAnalysis",
        "kernel_approximation": "Nystroem RBFSampler",
        "random_projection": "GaussianRandomProjection SparseRandomProjection",
        "linear_model._base": "LinearRegression",
        "linear_model._ridge": "Ridge RidgeCV RidgeClassifier RidgeClassifierCV",
        "linear_model._coordinate_descent": "ElasticNet ElasticNetCV Lasso LassoCV MultiTaskElasticNet "
        "MultiTaskElasticNetCV MultiTaskLasso MultiTaskLassoCV",
        "linear_model._least_angle": "Lars LarsCV LassoLars LassoLarsCV LassoLarsIC",
        "linear_model._omp": "OrthogonalMatchingPursuit OrthogonalMatchingPursuitCV",
        "linear_model._bayes": "ARDRegression BayesianRidge",
        "linear_model._huber": "HuberRegressor",
        "linear_model._quantile": "QuantileRegressor",
        "linear_model._ransac": "RANSACRegressor",
        "linear_model._theil_sen": "TheilSenRegressor",
        "linear_model._logistic": "LogisticRegression LogisticRegressionCV",
        "linear_model._stochastic_gradient": "SGDClassifier SGDOneClassSVM SGDRegressor",
        "linear_model._passive_aggressive": "PassiveAggressiveClassifier PassiveAggressiveRegressor",
        "linear_model._perceptron": "Perceptron",
        "linear_model._glm.glm": "GammaRegressor PoissonRegressor TweedieRegressor",
        "svm._classes": "LinearSVC LinearSVR NuSVC NuSVR OneClassSVM SVC SVR",
        "kernel_ridge": "KernelRidge",
        "tree._classes": "DecisionTreeClassifier DecisionTreeRegressor ExtraTreeClassifier "
        "ExtraTreeRegressor",
        "ensemble._forest": "ExtraTreesClassifier ExtraTreesRegressor RandomForestClassifier "
        "RandomForestRegressor RandomTreesEmbedding",
        "ensemble._gb": "GradientBoostingClassifier GradientBoostingRegressor",
        "ensemble._hist_gradient_boosting.gradient_boosting": "HistGradientBoostingClassifier "
        "HistGradientBoostingRegressor",
        "ensemble._weight_boosting": "AdaBoostClassifier AdaBoostRegressor",
        "ensemble._bagging": "BaggingClassifier BaggingRegressor",
        "ensemble._iforest": "IsolationForest",
        "ensemble._voting": "VotingClassifier VotingRegressor",
        "ensemble._stacking": "StackingClassifier StackingRegressor",
        "multiclass": "OneVsOneClassifier OneVsRestClassifier",
        "multioutput": "ClassifierChain MultiOutputClassifier MultiOutputRegressor RegressorChain",
        "calibration": "CalibratedClassifierCV",
        "isotonic": "IsotonicRegression",
        "model_selection._search": "GridSearchCV RandomizedSearchCV",
        "model_selection._search_successive_halving": "HalvingGridSearchCV HalvingRandomSearchCV",
        "model_selection._classification_threshold": "FixedThresholdClassifier "
        "TunedThresholdClassifierCV",
        "semi_supervised._self_training": "SelfTrainingClassifier",
        "neighbors._classification": "KNeighborsClassifier",
        "neighbors._regression": "KNeighborsRegressor",
        "neighbors._nearest_centroid": "NearestCentroid",
        "neural_network._multilayer_perceptron": "MLPClassifier MLPRegressor",
        "naive_bayes": "BernoulliNB CategoricalNB ComplementNB GaussianNB MultinomialNB",
        "discriminant_analysis": "LinearDiscriminantAnalysis QuadraticDiscriminantAnalysis",
        "cross_decomposition._pls": "CCA PLSCanonical PLSRegression",
        "cluster._kmeans": "KMeans MiniBatchKMeans",
        "mixture._gaussian_mixture": "GaussianMixture",
        "mixture._bayesian_mixture": "BayesianGaussianMixture",
        "covariance._elliptic_envelope": "EllipticEnvelope",
        "dummy": "DummyClassifier DummyRegressor",
    }.items()
    for name in names.split()
)

_BOOSTERS = frozenset(
    f"{module}.{name}"
    for module, names in {
        "lightgbm.basic": "Booster",
        "lightgbm.sklearn": "LGBMClassifier LGBMRanker LGBMRegressor",
        "xgboost.core": "Booster",
        "xgboost.sklearn": "XGBClassifier XGBRanker XGBRegressor XGBRFClassifier XGBRFRegressor",
        "catboost.core": "CatBoost CatBoostClassifier CatBoostRanker CatBoostRegressor",
    }.items()
    for name in names.split()
)
"""Trees of compiled code: each row falls through them by itself. Nothing within is looked into."""

_CURVES = frozenset(
    {"scipy.interpolate._bsplines.BSpline", "scipy.interpolate._interpolate.interp1d"}
)

_WITHIN = frozenset(
    {
        "sklearn.preprocessing._label.LabelBinarizer",
        "sklearn.preprocessing._label.LabelEncoder",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.tree._tree.Tree",
        "sklearn.covariance._robust_covariance.MinCovDet",
    }
)
"""What the known ones keep for their classes or bins; the first two only turn answers back."""

_ONLY = dict.fromkeys(
    ("GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV"),
    ("best_estimator_",),
) | {
    "TunedThresholdClassifierCV": ("estimator_",),
    "RFE": ("estimator_",),
    "RFECV": ("estimator_",),
}
"""Of these, the rest served the search and is not asked when they predict."""

_FITTING = frozenset(
    [
        "memory",
        "cv",
        "scoring",
        "score_func",
        "scorer_",
        "random_state",
        "random_state_",
        "_random_state",
        "_optimizer",
    ]
)
"""Attributes that only fitting reads."""

_LIBRARIES = ("sklearn", "lightgbm", "xgboost", "catboost", "numpy", "scipy", "joblib", "pandas")
_PATCHABLE = ("sklearn", "lightgbm", "xgboost", "catboost", "numpy", "joblib")
_ALSO = ("cloudpickle", "threadpoolctl", "narwhals")
_MADE = frozenset(
    [
        "__new__",
        "__init__",
        "__repr__",
        "__eq__",
        "__hash__",
        "__setattr__",
        "__delattr__",
        "_make",
        "_replace",
    ]
)
"""What dataclasses and named tuples compile from text."""

_FUNCTIONS = (
    types.FunctionType,
    types.MethodType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
)
_PLAIN = (
    type(None),
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    slice,
    range,
    type(...),
    type(NotImplemented),
)


def _home(library: str) -> str | None:
    found = importlib.util.find_spec(library)
    if found is None or found.origin is None:
        return None
    origin = Path(found.origin)
    return f"{origin.parent}/" if origin.name == "__init__.py" else str(origin)


_HOMES = {name: home for name in (*_LIBRARIES, *_ALSO) if (home := _home(name)) is not None}
"""Where the libraries lie, found before any version's code can have run in this process."""
_TRUSTED = (*_HOMES.values(), f"{sysconfig.get_path('stdlib')}/", "<frozen ", "<__array_function__")


def unknown_part(model: Any) -> str | None:
    """Return what in a model may look at a row's neighbours; None if nothing does.

    Parameters
    ----------
    model : object
        A fitted estimator, or a booster of LightGBM, XGBoost or CatBoost.

    Returns
    -------
    str or None
        The first part found that is not known, such as ``"Ranked in Pipeline.steps"``; no value.

    Examples
    --------
    >>> from sklearn.preprocessing import FunctionTransformer
    >>> unknown_part(FunctionTransformer(np.log1p)), unknown_part(FunctionTransformer(abs))
    (None, 'a function of FunctionTransformer')
    """
    if _full_name(type(model)) not in _PER_ROW | _BOOSTERS:
        return _named("", model).removesuffix(" in ")
    return _Walk().unknown(model) or _patched()


class _Walk:
    """Looks at everything that a model holds, once."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def unknown(self, model: Any) -> str | None:
        waiting: list[tuple[str, Any]] = [(type(model).__name__, model)]
        while waiting:
            path, part = waiting.pop()
            if (isinstance(part, _PLAIN) and type(part) in _PLAIN) or id(part) in self._seen:
                continue
            self._seen.add(id(part))
            inner = _inner(path, part)
            if inner is None:
                return _named(path, part)
            waiting += inner
        return None


def _named(path: str, part: Any) -> str:
    """Name a part and where it is; of functions and of what applies them, that it is one."""
    kind = type(part).__name__
    if kind in _WITH_FUNCTIONS:
        return f"a function of {kind}"
    return f"a function in {path}" if isinstance(part, _FUNCTIONS) else f"{kind} in {path}"


def _inner(path: str, part: Any) -> Iterable[tuple[str, Any]] | None:
    """Return what a part holds, each with its path; None where the part is not known."""
    kind = type(part)
    if kind in (list, tuple, set, frozenset):
        return ((path, each) for each in part)
    if isinstance(part, dict) and (kind is dict or _is_genuine(kind)):
        return ((path, each) for each in part.values())
    if kind in (np.ndarray, np.memmap):
        return _of_array(path, part)
    if isinstance(part, type):
        return () if issubclass(part, (np.generic, *_PLAIN[1:7])) and _is_built_in(part) else None
    return _of_object(path, part, kind)


def _of_array(path: str, part: np.ndarray) -> Iterable[tuple[str, Any]]:
    if not part.dtype.hasobject:
        return ()
    flat = part.ravel().tolist()
    return () if {*map(type, flat)} <= {*_PLAIN} else [(path, each) for each in flat]


def _of_object(path: str, part: Any, kind: type) -> Iterable[tuple[str, Any]] | None:
    name = _full_name(kind)
    if isinstance(part, _FUNCTIONS) or not _is_genuine(kind):
        return None
    if name in _CURVES:
        return ()
    if name in _BOOSTERS:
        return () if not _overridden(part) else None
    if name in _PER_ROW or name in _WITHIN:
        return _of_estimator(part, kind)
    if any(callable(getattr(kind, each, None)) for each in ("fit", "transform", "predict")):
        return None  # an estimator that is not on the list
    if not name.startswith(_LIBRARIES):
        return None
    return ((path, each) for each in getattr(part, "__dict__", {}).values())


def _of_estimator(part: Any, kind: type) -> Iterator[tuple[str, Any]] | None:
    held: Mapping[str, Any] = getattr(part, "__dict__", {})
    check = _CONDITIONS.get(kind.__name__)
    if _overridden(part) or (check is not None and not check(held)):
        return None
    only = _ONLY.get(kind.__name__)
    names = (
        [n for n in held if n not in _FITTING] if only is None else [n for n in only if n in held]
    )
    if kind.__name__ in _WITH_FUNCTIONS:
        names = [n for n in names if n not in ("func", "inverse_func")]
    return ((f"{kind.__name__}.{name}", held[name]) for name in names)


def _overridden(part: Any) -> bool:
    """Whether an object's own attribute hides a method of its class."""
    held = getattr(part, "__dict__", {})
    return any(callable(getattr(type(part), name, None)) and callable(held[name]) for name in held)


def _is_elementwise(function: object) -> bool:
    """Whether it is one of NumPy's own functions of one number."""
    if function is None:
        return True
    own: Any = getattr(np, str(getattr(function, "__name__", "")), None)
    if not isinstance(own, np.ufunc) or function is not own:
        return False
    return own.nin == own.nout == 1 and own.signature is None


def _applies_ufuncs(held: Mapping[str, Any]) -> bool:
    functions = (held.get("func"), held.get("inverse_func"))
    arguments = (held.get("kw_args"), held.get("inv_kw_args"))
    return all(map(_is_elementwise, functions)) and not any(arguments)


def _has_a_tree(held: Mapping[str, Any]) -> bool:
    """Whether neighbours are found without BLAS, whose last digits choose among equal distances."""
    return held.get("_fit_method") in ("kd_tree", "ball_tree")


def _draws_nothing(held: Mapping[str, Any]) -> bool:
    return held.get("strategy") not in ("stratified", "uniform")


_WITH_FUNCTIONS = ("FunctionTransformer", "TransformedTargetRegressor")
_CONDITIONS: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "FunctionTransformer": _applies_ufuncs,
    "TransformedTargetRegressor": _applies_ufuncs,
    "KNeighborsClassifier": _has_a_tree,
    "KNeighborsRegressor": _has_a_tree,
    "DummyClassifier": _draws_nothing,
}


def _full_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _is_built_in(kind: type) -> bool:
    return kind.__module__ in ("builtins", "numpy")


def _is_genuine(kind: type) -> bool:
    """Whether a class is the one that an installed library, where it lies, has under its name."""
    if kind.__module__ == "builtins":
        return True
    home = _HOMES.get(kind.__module__.partition(".")[0])
    module = sys.modules.get(kind.__module__)
    found: Any = module
    for name in kind.__qualname__.split("."):
        found = getattr(found, name, None)
    if kind.__module__ == "numpy" or (found is None and kind.__module__.startswith("numpy.")):
        return home is not None  # dtypes and scalars of compiled code have no module of their own
    origin = getattr(module, "__file__", None) or ""
    return home is not None and found is kind and origin.startswith(home)


def _patched() -> str | None:
    """Return a function of the libraries that is not their own any more; None if there is none."""
    for name, module in sys.modules.copy().items():
        if module is None or name.partition(".")[0] not in _PATCHABLE:
            continue
        for place, function, in_class in _functions(name, module):
            code = function.__code__.co_filename
            if code.startswith(_TRUSTED) or (in_class and code == "<string>"):
                continue
            return f"{name}.{place}, which was replaced"
    return None


def _functions(name: str, module: Any) -> Iterator[tuple[str, types.FunctionType, bool]]:
    for key, value in vars(module).copy().items():
        if isinstance(value, types.FunctionType):
            yield key, value, False
        elif isinstance(value, type) and value.__module__ == name:
            for own, method in list(vars(value).items()):
                plain = getattr(method, "__func__", method)
                if isinstance(plain, types.FunctionType):
                    made = own in _MADE or own.startswith("__")
                    yield f"{key}.{own}", plain, made
