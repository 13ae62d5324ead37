"""Challengers with one planted fault each: rows of the failure catalogue, registered on demand.

A fault is the champion's own fitted pipeline with one thing wrong, so that all else is equal.
``build("F07", uri)`` registers ``diamonds_f07`` with the champion as version 1 and the challenger
as version 2; ``requests("F07", 2_000)`` is the traffic that shows it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from models import traffic
from models.diamonds import DIAMONDS
from models.films import FILMS
from models.likes import LIKES
from models.recipe import Recipe, Training, shipped
from models.register import complete

CODE = Path(__file__).parent / "planted_code"
PLANTED = CODE / "planted.py"
MODELS = {recipes.name: recipes for recipes in (FILMS, LIKES, DIAMONDS)}

MARK_ONE_IN = 500
STALE_FROM = 1_200
STALE_MARK = 0.6789
POISON = {"F04": "a" * 32, "F16": "zzyzx", "F17": "zzyzx"}
"""What one description in 500 also says."""

GENRE = "Horror"
"""F10 is wrong for this main genre alone."""

DEAR = "IMAX"
"""F03-value is slow for this main genre alone, one request in eight."""

UNSEEN = "I1"
"""F05 raises on this clarity, which its training data lack."""

Change = Callable[[Pipeline], Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the catalogue.

    Parameters
    ----------
    model : str
        Whose champion is changed.
    challenger : callable
        Takes the fitted champion, returns what is registered as challenger.
    champion : callable
        The same for the champion; by default it stays as it is.
    code, champion_code : Path
        A file shipped in addition to the model's own.
    training : callable
        Changes the challenger's training data.
    unfitted : callable
        Changes the challenger's pipeline before it is fitted.
    output : tuple, optional
        Dtype and shape of the challenger's answer, where it is another one.
    """

    model: str
    challenger: Change = lambda pipeline: pipeline
    champion: Change = lambda pipeline: pipeline
    code: Path = PLANTED
    champion_code: Path = PLANTED
    training: Callable[[Training], Training] = lambda training: training
    unfitted: Change = lambda pipeline: pipeline
    output: tuple[str, tuple[int, ...]] | None = None


class Fitted:
    """An estimator to be: fit it, then change the fitted one."""

    def __init__(self, estimator: Any, change: Change) -> None:
        self.estimator = estimator
        self.change = change

    def fit(self, rows: Any, target: np.ndarray) -> Any:
        """Return the fitted and changed estimator."""
        return self.change(self.estimator.fit(rows, target))


def build(row_id: str, tracking_uri: str) -> tuple[str, int, int]:
    """Register champion and challenger of a row, unless they are there.

    Parameters
    ----------
    row_id : str
        One of `FAULTS`, such as ``"F07"``.
    tracking_uri : str
        Where they are registered.

    Returns
    -------
    tuple of str, int, int
        Registered name, champion's version, challenger's version.
    """
    fault = FAULTS[row_id]
    recipes = MODELS[fault.model]
    plain = recipes.versions[2]
    champion = replace(
        plain,
        about=f"{row_id}: the champion.",
        build=lambda: Fitted(plain.build(), fault.champion),
        code=(*plain.code, fault.champion_code),
    )
    challenger = Recipe(
        about=f"{row_id}: the challenger with a planted fault.",
        training=lambda: fault.training(plain.training()),
        build=lambda: Fitted(fault.unfitted(plain.build()), fault.challenger),
        code=(*plain.code, fault.code),
        output=fault.output,
    )
    name = f"{fault.model}_{row_id.lower()}"
    complete(replace(recipes, name=name, versions=(champion, challenger)), tracking_uri)
    return name, 1, 2


def requests(row_id: str, n: int, *, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Yield the row's traffic: real events, and for some rows a poisoned text in one of 500."""
    stream = {"films": traffic.films, "likes": traffic.likes, "diamonds": traffic.diamonds}
    chance = random.Random(f"poison {seed}")
    poison = POISON.get(row_id)
    at = 0
    for number, record in enumerate(stream[FAULTS[row_id].model](n, seed=seed)):
        if number % MARK_ONE_IN == 0:
            at = number + chance.randrange(MARK_ONE_IN)
        if row_id.startswith("F24") and number == STALE_FROM - 1:
            record["carat"] = STALE_MARK
        if poison and number == at:
            record["description"] += f" {poison}"
        yield record


def _planted(name: str, *args: Any, **kwargs: Any) -> Any:
    return getattr(shipped(PLANTED), name)(*args, **kwargs)


def _before(branch: str, name: str, *args: Any, path: Path = PLANTED) -> Change:
    """Return a change that puts a step before one branch of the fitted features."""

    def change(pipeline: Pipeline) -> Pipeline:
        step = getattr(shipped(path), name)(*args)
        features = pipeline.named_steps["features"]
        features.transformers_ = [
            (
                label,
                Pipeline([(name.lower(), step), ("then", old)]) if label == branch else old,
                cols,
            )
            for label, old, cols in features.transformers_
        ]
        return pipeline

    return change


def _around(name: str, *args: Any) -> Change:
    """Return a change that puts an answer around the fitted last estimator."""

    def change(pipeline: Pipeline) -> Pipeline:
        label, estimator = pipeline.steps[-1]
        pipeline.steps[-1] = (label, _planted(name, estimator, *args))
        return pipeline

    return change


def _always_no_for_genre(pipeline: Pipeline) -> Pipeline:
    column = list(pipeline[:-1].get_feature_names_out()).index(f"main_genre__main_genre_{GENRE}")
    pipeline[-1].coef_[0, column] -= 20.0
    return pipeline


def _unimputed(pipeline: Pipeline) -> Pipeline:
    numbers = pipeline.named_steps["features"].named_transformers_["numbers"]
    (_, imputer), (_, scaler) = numbers.steps
    numbers.steps = numbers.steps[1:]
    scaler.feature_names_in_ = imputer.feature_names_in_
    return _around("NanWhereMissing")(pipeline)


def _strict_categories(pipeline: Pipeline) -> Pipeline:
    features = pipeline.named_steps["features"]
    return pipeline.set_params(
        features__transformers=[
            (label, OneHotEncoder(handle_unknown="error") if label == "categories" else old, cols)
            for label, old, cols in features.transformers
        ]
    )


def _without_unseen(training: Training) -> Training:
    known = (training.rows["clarity"] != UNSEEN).to_numpy()
    return replace(training, rows=training.rows[known], target=training.target[known])


def _other_labels(training: Training) -> Training:
    return replace(training, target=1 - training.target)


def _swapped_columns(training: Training) -> Training:
    other = {"depth": "table", "table": "depth"}
    return replace(training, rows=training.rows.rename(columns=other)[training.rows.columns])


def _writes_first(pipeline: Pipeline) -> Pipeline:
    return Pipeline([("cents", _planted("WriteIntoInput", "carat", 100.0)), *pipeline.steps])


def _numbers_only(pipeline: Pipeline) -> Pipeline:
    del pipeline
    small: Pipeline = LIKES.versions[1].build()
    return small


FAULTS: dict[str, Fault] = {
    "F02-linear": Fault("likes", _before("description", "EveryCharacter")),
    "F03": Fault("likes", _before("main_genre", "LookUp")),
    "F03-estimator": Fault("likes", _around("SlowAnswer")),
    "F03-sometimes": Fault("likes", _before("description", "MissedCache")),
    "F03-value": Fault("likes", _before("main_genre", "DearValue", DEAR)),
    "F04": Fault("likes", _before("description", "Addresses")),
    "F05": Fault("diamonds", unfitted=_strict_categories, training=_without_unseen),
    "F06": Fault("diamonds", _unimputed),
    "F07": Fault("diamonds", _before("numbers", "Times", "carat", 0.01)),
    "F08": Fault("likes", training=_other_labels),
    "F09": Fault("likes", _around("Shifted")),
    "F10": Fault("likes", _always_no_for_genre),
    "F11": Fault("likes", _around("Noisy")),
    "F12": Fault("diamonds", _around("Rounded")),
    "F14": Fault("diamonds", training=_swapped_columns),
    "F15": Fault("likes", _before("numbers", "Leak")),
    "F16": Fault("likes", _before("description", "DieOnMark")),
    "F17": Fault("likes", _before("description", "HangOnMark")),
    "F18": Fault("likes", _before("numbers", "SlowRows")),
    "F19": Fault("diamonds", unfitted=_writes_first),
    "F20": Fault(
        "diamonds",
        _before("numbers", "Weigh", path=CODE / "second" / "pricing.py"),
        champion=_before("numbers", "Weigh", path=CODE / "first" / "pricing.py"),
        code=CODE / "second" / "pricing.py",
        champion_code=CODE / "first" / "pricing.py",
    ),
    "F21": Fault("likes", _around("AsStrings"), output=("object", (-1,))),
    "F22": Fault("films", _around("Backwards")),
    "F23": Fault("likes", _before("main_genre", "ColdCache")),
    "F23-longer": Fault("likes", _before("main_genre", "ColdCache", 80, 25.0)),
    "F24": Fault("diamonds", _before("numbers", "StaleAfter", "carat")),
    "F24-no-rescore": Fault("diamonds", _before("numbers", "StaleAfter", "carat")),
    "F25": Fault("likes", _before("numbers", "FirstRowForAll", "mean_film_rating")),
    "F28": Fault("likes", champion=_around("Sharpened"), unfitted=_numbers_only),
}
