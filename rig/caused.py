"""Pairs of versions whose difference has a known cause, and pairs that would fool whoever looks for one.

``pair("imputation", seed)`` returns two fitted models, the rows of recorded requests, and what may be said of them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from rig.scoring import native, opaque
from shadowserve.schema.rows import Rows
from shadowserve.scorer.scorer import Scorer

CITIES = ("Bern", "Genf", "Basel", "Zug", "Chur", "Uri")
WORDS = (
    "red",
    "blue",
    "green",
    "gold",
    "warm",
    "cold",
    "long",
    "short",
    "wide",
    "thin",
    "new",
    "old",
    "big",
    "small",
)
N_TRAIN = 1_500
SIGNATURE: Mapping[str, Any] = {
    "inputs": [
        *(
            {"name": name, "type": "double", "required": name != "age"}
            for name in ("age", "income", "distance", "hour", "rare")
        ),
        {"name": "city", "type": "string", "required": True},
        {"name": "text", "type": "string", "required": True},
    ],
    "params": None,
}


@dataclass(frozen=True)
class Pair:
    """Two versions, recorded rows, and what is true of them.

    Parameters
    ----------
    kind : str or None
        The one cause that may be said; None where none may be.
    step : str or None
        The step that carries it.
    """

    champion: Scorer
    challenger: Scorer
    rows: Rows
    kind: str | None
    step: str | None = None


class Parsed(TransformerMixin, BaseEstimator):
    """One column in a unit of its own, and by a clock of its own."""

    def __init__(self, factor: float = 1.0, shift: float | None = None) -> None:
        self.factor = factor
        self.shift = shift

    def fit(self, X: Any, y: Any = None) -> Parsed:
        self.n_features_in_ = 1
        return self

    def transform(self, X: Any) -> np.ndarray:
        values = np.asarray(X, dtype=np.float64)
        return (values + self.shift) % 24 if self.shift is not None else values * self.factor

    def get_feature_names_out(self, names: Any = None) -> np.ndarray:
        return np.array(["value"], dtype=object)


class Flipped(TransformerMixin, BaseEstimator):
    """Components with the sign that a refit may give them."""

    def fit(self, X: Any, y: Any = None) -> Flipped:
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: Any) -> np.ndarray:
        return -np.asarray(X)


def same(values: Any) -> Any:
    return values


def rows(n: int, seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    age = draw.normal(45, 12, n).round(1)
    age[draw.random(n) < 0.2] = np.nan
    return pd.DataFrame(
        {
            "age": age,
            "income": draw.lognormal(3, 0.4, n).round(2),
            "distance": draw.gamma(3, 2, n).round(2),
            "hour": draw.integers(0, 24, n).astype(float),
            "rare": (draw.random(n) < 0.002) * 1.0,
            "city": draw.choice(CITIES, n),
            "text": [" ".join(draw.choice(WORDS, 6)) for _ in range(n)],
        }
    )


def target(frame: pd.DataFrame, seed: int, *, other: bool = False) -> np.ndarray:
    """Return what is learnt; another one leans on income, and on nothing else, otherwise."""
    draw = np.random.default_rng(seed)
    lean = 0.25 if other else 0.1
    made = (
        frame["age"].fillna(45) * 0.3 + frame["income"] * lean + frame["distance"]
        + 0.2 * frame["hour"] + frame["city"].map({c: i for i, c in enumerate(CITIES)}) * 1.5
        + frame["text"].str.count("gold") * 2
    )  # fmt: skip
    return (made + draw.normal(0, 0.1, len(frame))).to_numpy()


def features(**changes: Any) -> ColumnTransformer:
    steps: dict[str, tuple[Any, Any]] = {
        "age": (
            Pipeline([("impute", SimpleImputer(strategy="median")), ("scale", StandardScaler())]),
            ["age"],
        ),
        "income": (StandardScaler(), ["income"]),
        "distance": (Parsed(), ["distance"]),
        "hour": (Parsed(), ["hour"]),
        "city": (OneHotEncoder(handle_unknown="ignore"), ["city"]),
        **changes,
    }
    return ColumnTransformer([(name, *part) for name, part in steps.items() if part is not None])


def fitted(
    frame: pd.DataFrame,
    y: np.ndarray,
    *,
    model: Any = None,
    columns: ColumnTransformer | None = None,
) -> Pipeline:
    made = Pipeline(
        [
            ("features", columns or features()),
            ("model", Ridge(alpha=1e-6) if model is None else model),
        ]
    )
    return made.fit(frame, y)


def grafted(champion: Pipeline, columns: ColumnTransformer, frame: pd.DataFrame) -> Pipeline:
    """Return the champion's own estimator behind other features."""
    return Pipeline([("features", columns.fit(frame)), ("model", champion.named_steps["model"])])


def branch(pipeline: Pipeline, name: str) -> Any:
    return pipeline.named_steps["features"].named_transformers_[name]


def changed(champion: Pipeline, name: str, part: Any) -> Pipeline:
    """Return a copy of a fitted pipeline with one fitted branch put into the place of another."""
    made = copy.deepcopy(champion)
    columns = made.named_steps["features"]
    columns.transformers_ = [
        (own, part if own == name else fit, where) for own, fit, where in columns.transformers_
    ]
    return made


def zeroed(champion: Pipeline) -> Pipeline:
    """Return the champion with missing ages filled by 0, all else as it was fitted."""
    own = branch(champion, "age")
    filled = SimpleImputer(strategy="constant", fill_value=0.0).fit(
        pd.DataFrame({"age": [1.0, np.nan]})
    )
    return changed(
        champion, "age", Pipeline([("impute", filled), ("scale", own.named_steps["scale"])])
    )


Maker = Callable[[pd.DataFrame, int, Any], tuple[Any, Any, str | None, str | None]]


def _weights(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    champion = fitted(frame, target(frame, seed), model=model)
    retrained = clone(champion.named_steps["model"]).fit(
        champion.named_steps["features"].transform(frame), target(frame, seed, other=True)
    )
    return (
        champion,
        Pipeline([("features", champion.named_steps["features"]), ("model", retrained)]),
        "weights",
        None,
    )


def _step(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    champion = fitted(frame, target(frame, seed), model=model)
    other = StandardScaler().fit(frame[["income"]] * 1.3)
    return champion, changed(champion, "income", other), "features", "features/income"


def _unit(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    champion = fitted(frame, target(frame, seed), model=model)
    return (
        champion,
        changed(champion, "distance", Parsed(1000.0).fit(None)),
        "features",
        "features/distance",
    )


def _zone(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    champion = fitted(frame, target(frame, seed), model=model)
    return (
        champion,
        changed(champion, "hour", Parsed(shift=2.0).fit(None)),
        "features",
        "features/hour",
    )


def _imputation(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    champion = fitted(frame, target(frame, seed), model=model)
    return champion, zeroed(champion), "features", "features/age/impute"


def _both(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    champion = fitted(frame, target(frame, seed), model=model)
    retrained = clone(champion.named_steps["model"]).fit(
        champion.named_steps["features"].transform(frame), target(frame, seed, other=True)
    )
    made = Pipeline([("features", champion.named_steps["features"]), ("model", retrained)])
    return champion, zeroed(made), "both", "features/age/impute"


def _same(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    return *(fitted(frame, target(frame, seed), model=model) for _ in "ab"), "none", None


def _refitted(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    half = frame.iloc[: len(frame) // 2]
    return (
        fitted(frame, target(frame, seed), model=model),
        fitted(half, target(half, seed + 1), model=model),
        None,
        None,
    )


def _coded(order: tuple[str, ...]) -> dict[str, Any]:
    return {"city": (OrdinalEncoder(categories=[list(order)]), ["city"])}


def _permuted_ordinal(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    model = GradientBoostingRegressor(n_estimators=40, random_state=seed)
    swapped = (CITIES[1], CITIES[0], *CITIES[2:])
    made = [
        fitted(frame, target(frame, seed), model=clone(model), columns=features(**_coded(one)))
        for one in (CITIES, swapped)
    ]
    return *made, None, None


def _permuted_codes(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    """Codes that change places before a linear model, which cannot undo it: most rows still agree."""
    y = target(frame, seed)
    swapped = (*CITIES[:-2], CITIES[-1], CITIES[-2])
    made = [
        fitted(frame, y, model=model, columns=features(**_coded(one))) for one in (CITIES, swapped)
    ]
    return *made, None, None


def _learnt_with(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    """Missing ages filled otherwise on each side, and trees that learnt with it: each alone breaks what both mend."""
    trees = GradientBoostingRegressor(n_estimators=60, random_state=seed)
    made = [
        fitted(
            frame,
            target(frame, seed),
            model=clone(trees),
            columns=features(age=(SimpleImputer(strategy="constant", fill_value=filled), ["age"])),
        )
        for filled in (0.0, 90.0)
    ]
    return *made, None, None


def _later(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    """A flag that begins later and agrees on most rows, of which hardly anything depends; and other weights."""
    trees = GradientBoostingRegressor(n_estimators=40, random_state=seed)
    made = [
        fitted(
            frame,
            target(frame, seed, other=other),
            model=clone(trees),
            columns=features(hour=(FunctionTransformer(part), ["hour"])),
        )
        for part, other in ((_afternoon, False), (_evening, True))
    ]
    return *made, "weights", None


def _afternoon(hours: Any) -> np.ndarray:
    return (np.asarray(hours) >= 12) * 1.0


def _evening(hours: Any) -> np.ndarray:
    return (np.asarray(hours) >= 16) * 1.0


def _permuted_one_hot(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    """The same function up to what sums in another order: codes in another order, weights with them."""
    made = [
        fitted(
            frame,
            target(frame, seed),
            model=model,
            columns=features(city=(OneHotEncoder(categories=[list(one)]), ["city"])),
        )
        for one in (CITIES, CITIES[::-1])
    ]
    return *made, "none", None


def _text(flipped: bool = False, seed: int = 0) -> dict[str, Any]:
    steps: list[tuple[str, Any]] = [
        ("words", TfidfVectorizer()),
        ("svd", TruncatedSVD(4, random_state=seed)),
    ]
    return {"text": (Pipeline([*steps, *([("sign", Flipped())] if flipped else [])]), "text")}


def _svd(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    half = frame.iloc[::2]
    champion = fitted(frame, target(frame, seed), model=model, columns=features(**_text(seed=1)))
    return (
        champion,
        fitted(half, target(half, seed + 1), model=model, columns=features(**_text(seed=2))),
        None,
        None,
    )


def _flipped_svd(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    half = frame.iloc[::2]
    champion = fitted(frame, target(frame, seed), model=model, columns=features(**_text(seed=1)))
    flipped = clone(features(**_text(flipped=True, seed=1)))
    return champion, fitted(half, target(half, seed + 1), model=model, columns=flipped), None, None


def _reordered(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    own = features()
    other = ColumnTransformer(own.transformers[::-1])
    y = target(frame, seed)
    return (
        fitted(frame, y, model=model),
        fitted(frame, target(frame, seed, other=True), model=model, columns=other),
        "weights",
        None,
    )


def _misread(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    """The champion's estimator behind columns in another order: it reads what it was not trained on."""
    champion = fitted(frame, target(frame, seed), model=model)
    return (
        champion,
        grafted(champion, ColumnTransformer(features().transformers[::-1]), frame),
        "features",
        None,
    )


def _renamed(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    own = {f"{name}_2": (part, where) for name, part, where in features().transformers}
    other = ColumnTransformer([(name, *part) for name, part in own.items()])
    return (
        fitted(frame, target(frame, seed), model=model),
        fitted(frame, target(frame, seed, other=True), model=model, columns=other),
        "weights",
        None,
    )


def _split(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    two = Pipeline(
        [("centre", StandardScaler(with_std=False)), ("size", StandardScaler(with_mean=False))]
    )
    other = features(income=(two, ["income"]))
    return (
        fitted(frame, target(frame, seed), model=model),
        fitted(frame, target(frame, seed, other=True), model=model, columns=other),
        "weights",
        None,
    )


def _idle_step(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    idle = Pipeline([("same", FunctionTransformer(same)), ("scale", StandardScaler())])
    other = features(income=(idle, ["income"]))
    return (
        fitted(frame, target(frame, seed), model=model),
        fitted(frame, target(frame, seed, other=True), model=model, columns=other),
        "weights",
        None,
    )


def _rare(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    """Features that are another only where `rare` is: not on any recorded row."""
    clipped = [features(rare=(Parsed(factor), ["rare"])) for factor in (1.0, 50.0)]
    y, other = target(frame, seed), target(frame, seed, other=True)
    return (
        fitted(frame, y, model=model, columns=clipped[0]),
        fitted(frame, other, model=model, columns=clipped[1]),
        "weights",
        None,
    )


def _trees(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    """Crossing hands trees what they never saw: an imputed 0 far below every age, learnt on one side alone."""
    trees = GradientBoostingRegressor(n_estimators=60, random_state=seed)
    zero = Pipeline(
        [
            ("impute", SimpleImputer(strategy="constant", fill_value=0.0)),
            ("scale", StandardScaler()),
        ]
    )
    champion = fitted(frame, target(frame, seed), model=clone(trees))
    other = fitted(
        frame,
        target(frame, seed, other=True),
        model=clone(trees),
        columns=features(age=(zero, ["age"])),
    )
    return champion, other, None, None


def _ignored(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    """A feature changed that no estimator heeds, and weights that did."""
    champion, other, _, _ = _weights(frame, seed, model)
    made = [copy.deepcopy(one) for one in (champion, other)]
    for one in made:
        one.named_steps["model"].coef_[3] = 0.0  # the hour's
    return made[0], changed(made[1], "hour", Parsed(shift=2.0).fit(None)), "weights", None


def _correlated(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    """Two columns that move together changed together: each carries its own part."""
    champion = fitted(frame, target(frame, seed), model=model)
    once = changed(champion, "income", StandardScaler().fit(frame[["income"]] * 1.3))
    return champion, changed(once, "distance", Parsed(1.5).fit(None)), "features", None


def _search(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    """A pipeline within a search, as it is often logged."""
    search = GridSearchCV(
        Pipeline([("features", features()), ("model", Ridge())]), {"model__alpha": [1e-6, 1]}, cv=2
    )
    champion = search.fit(frame, target(frame, seed))
    other = copy.copy(champion)
    other.best_estimator_ = zeroed(champion.best_estimator_)
    return champion, other, "features", "features/age/impute"


def _missing(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    """Missing values that reach an estimator which takes them."""
    champion = fitted(
        frame,
        target(frame, seed),
        model=HistGradientBoostingRegressor(max_iter=20, random_state=seed),
        columns=features(age=("passthrough", ["age"])),
    )
    other = changed(champion, "distance", Parsed(1000.0).fit(None))
    return champion, other, "features", "features/distance"


def _texts(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    """Labels that are texts, of two classes and of three."""
    y = target(frame, seed)
    two = np.where(y > np.median(y), "high", "low")
    three = np.where(y > np.quantile(y, 0.8), "top", two)
    made = [fitted(frame, one, model=LogisticRegression(max_iter=2000)) for one in (two, three)]
    return *made, "weights", None


def _several(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    """Two numbers for each row."""
    both = np.column_stack([target(frame, seed), target(frame, seed, other=True)])
    champion = fitted(frame, both, model=model)
    return champion, zeroed(champion), "features", "features/age/impute"


def _whole(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    champion = fitted(frame, target(frame, seed), model=model)
    return champion, zeroed(champion), "whole", None


def _labels(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    y = target(frame, seed) > np.median(target(frame, seed))
    champion = fitted(frame, y, model=RandomForestClassifier(20, random_state=seed))
    return champion, zeroed(champion), "features", "features/age/impute"


def _probabilities(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    y, other = (
        made > np.median(made) for made in (target(frame, seed), target(frame, seed, other=True))
    )
    champion = fitted(frame, y, model=LogisticRegression(max_iter=2000))
    retrained = clone(champion.named_steps["model"]).fit(
        champion.named_steps["features"].transform(frame), other
    )
    return (
        champion,
        Pipeline([("features", champion.named_steps["features"]), ("model", retrained)]),
        "weights",
        None,
    )


def _bare(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    numbers = frame[["income", "distance", "hour"]]
    return (
        Ridge().fit(numbers, target(frame, seed)),
        Ridge(alpha=500).fit(numbers, target(frame, seed, other=True)),
        "weights",
        None,
    )


def _bare_against_pipeline(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    numbers = ["income", "distance", "hour"]
    scaled = Pipeline([("scale", StandardScaler()), ("model", Ridge(alpha=500))])
    return (
        Ridge().fit(frame[numbers], target(frame, seed)),
        scaled.fit(frame[numbers], target(frame, seed, other=True)),
        None,
        None,
    )


def _nested(frame: pd.DataFrame, seed: int, model: Any) -> Any:
    """Steps inside an estimator that is one step to whoever looks at it from outside."""
    from sklearn.ensemble import VotingRegressor

    champion = fitted(frame, target(frame, seed), model=model)
    made = [
        VotingRegressor(
            [
                (
                    "only",
                    Pipeline(
                        [
                            ("features", features(distance=(Parsed(f), ["distance"]))),
                            ("model", Ridge()),
                        ]
                    ),
                )
            ]
        ).fit(frame, target(frame, seed, other=f != 1))
        for f in (1.0, 3.0)
    ]
    del champion
    return *made, "whole", None


MAKERS: Mapping[str, Maker] = {
    "weights": _weights, "step": _step, "unit": _unit, "zone": _zone, "imputation": _imputation, "both": _both,
    "same": _same, "refitted": _refitted, "permuted ordinal": _permuted_ordinal, "permuted codes": _permuted_codes, "learnt with": _learnt_with, "later flag": _later, "permuted one-hot": _permuted_one_hot,
    "svd": _svd, "flipped svd": _flipped_svd, "reordered": _reordered, "misread": _misread, "renamed": _renamed,
    "split": _split, "idle step": _idle_step, "rare": _rare, "trees": _trees, "ignored": _ignored,
    "correlated": _correlated, "whole": _whole, "labels": _labels, "probabilities": _probabilities, "bare": _bare,
    "bare against pipeline": _bare_against_pipeline, "search": _search, "missing": _missing, "texts": _texts,
    "several outputs": _several, "nested": _nested,
}  # fmt: skip
PLANTED = ("weights", "step", "unit", "imputation", "both")
NOTHING = ("same", "refitted", "permuted ordinal", "permuted codes", "permuted one-hot", "svd")


def typed(frame: pd.DataFrame) -> Rows:
    """Return a frame's rows as requests of one row each are typed."""
    columns = {
        name: frame[name].to_numpy(dtype=object if name in ("city", "text") else float)
        for name in frame
    }
    return Rows(columns, len(frame))


def pair(name: str, seed: int, *, n: int = 300) -> Pair:
    """Return a pair; the recorded rows are none that anything was fitted on."""
    frame = rows(N_TRAIN, seed)
    champion, challenger, kind, step = MAKERS[name](frame, seed, None)
    recorded = rows(n, seed + 1_000)
    if name == "rare":
        recorded["rare"] = 0.0
    names = getattr(champion, "feature_names_in_", None)
    if names is not None:
        recorded = recorded[list(names)]
    signature = {
        **SIGNATURE,
        "inputs": [one for one in SIGNATURE["inputs"] if one["name"] in recorded],
    }
    if name == "whole":
        other = opaque(lambda given, _: challenger.predict(given), number=4, signature=signature)
    else:
        other = native(challenger, number=4, signature=signature)
    return Pair(native(champion, number=3, signature=signature), other, typed(recorded), kind, step)
