"""The list of classes that were read, by exact type: what each `predict` or `transform` does with other rows.

To add one, read its code for what it takes from a row's neighbours, and say here what is left out.
"""

from __future__ import annotations

PER_ROW = frozenset(
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

BOOSTERS = frozenset(
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

CURVES = frozenset(
    {"scipy.interpolate._bsplines.BSpline", "scipy.interpolate._interpolate.interp1d"}
)

WITHIN = frozenset(
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

ONLY = dict.fromkeys(
    ("GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV"),
    ("best_estimator_",),
) | {
    "TunedThresholdClassifierCV": ("estimator_",),
    "RFE": ("estimator_",),
    "RFECV": ("estimator_",),
}
"""Of these, the rest served the search and is not asked when they predict."""

FITTING = frozenset(
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
