"""Questions to a fitted scikit-learn object that its documentation does not answer in one place.

Can a composite be walked, and does a subclass do something of its own? What does it do to its
input, and which names does it want and give? Everything here reads and nothing writes.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pandas as pd
from sklearn import get_config
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline

from shadowserve.faults import fault_of

Provenance = tuple[str | int, ...]

_PREDICTING = ("predict", "predict_proba", "decision_function")
# What is walked, and the methods whose override would make the walk another thing than the model.
COMPOSITES: dict[type, tuple[str, ...]] = {
    Pipeline: (*_PREDICTING, "transform", "_iter"),
    ColumnTransformer: ("transform", "_iter", "_hstack", "_validate_output"),
    FeatureUnion: ("transform", "_iter", "_hstack"),
    GridSearchCV: _PREDICTING,
    RandomizedSearchCV: _PREDICTING,
    TransformedTargetRegressor: ("predict",),
}


def is_drop(transformer: Any) -> bool:
    """Whether a branch is declared as left out."""
    return isinstance(transformer, str) and transformer == "drop"


def is_passed_through(transformer: Any) -> bool:
    """Whether a pipeline's step is declared as none."""
    return transformer is None or (isinstance(transformer, str) and transformer == "passthrough")


def is_empty_selection(columns: Any) -> bool:
    """Whether a column list or mask selects nothing, by scikit-learn's rule."""
    if isinstance(getattr(columns, "dtype", None), np.dtype) and columns.dtype.kind == "b":
        return not columns.any()
    if not hasattr(columns, "__len__"):
        return False
    return len(columns) == 0 or (all(isinstance(c, bool) for c in columns) and not any(columns))


def ends_with_estimator(pipeline: Pipeline) -> bool:
    """Whether the last step is an object, not a word."""
    return not is_passed_through(pipeline.steps[-1][1])


def overridden(model: Any, base: type) -> str | None:
    """Return the first method that is not the base class's own, be it by class or by instance."""
    for name in (*COMPOSITES[base], "__getattribute__"):
        # Looked up statically: a property or `__getattr__` of a stranger's class would run.
        static = inspect.getattr_static(type(model), name, None)
        if name in vars(model) or static is not inspect.getattr_static(base, name, None):
            return name
    return None


def jobs_of(model: Any) -> int | None:
    """Return the n_jobs that a fitted object, or any part of a leaf, asks for; None for one."""
    asked = [_attribute(model, "n_jobs")]
    # The parts of a composite are asked by themselves when it is walked.
    if type(model) not in COMPOSITES:
        asked += [value for key, value in _params(model).items() if key.endswith("__n_jobs")]
    return next((jobs for jobs in asked if isinstance(jobs, int) and jobs != 1), None)


def writes_into_input(model: Any) -> bool:
    """Whether a part was told to spare itself the copy of its input."""
    params = _params(model).items()
    return any(value is False and key.rpartition("__")[2] == "copy" for key, value in params)


def container_of(model: Any) -> str:
    """Return what its output is to be: ``"default"``, ``"pandas"`` or ``"polars"``."""
    own = getattr(model, "_sklearn_output_config", {}).get("transform")
    return str(own or get_config()["transform_output"])


def why_unnameable(model: Any) -> str | None:
    """Return why frames cannot be stacked by names known from fit, or None."""
    if container_of(model) == "default":
        return None
    if getattr(model, "sparse_output_", False):
        return "its output is sparse although frames are asked for"
    branches = getattr(model, "transformers_", None) or model.transformer_list
    named = (part for _, part, *_ in branches if not isinstance(part, str))
    if not all(hasattr(part, "get_feature_names_out") for part in named):
        return "the names of its output are not known from fit"
    try:
        model.get_feature_names_out()
    except BaseException as error:
        return f"the names of its output are not known from fit ({fault_of(error).type})"
    return None


def frame_names(model: Any) -> pd.Index | None:
    """Return the names of its output where that is a frame, else None."""
    if container_of(model) == "default":
        return None
    names: pd.Index = pd.Index(model.get_feature_names_out())
    return names


def names_in(transformer: Any) -> np.ndarray | None:
    """Return the column names that were seen in fit; None for an array or other names."""
    names: np.ndarray | None = getattr(transformer, "feature_names_in_", None)
    return names


def required_names(transformer: Any, known: np.ndarray | None) -> frozenset[str]:
    """Return the names that must be there: all that a branch reads, dropped ones aside."""
    if known is None:
        return frozenset()
    dropped = {name for name, branch, _ in transformer.transformers_ if is_drop(branch)}
    present = {name for name, _, _ in transformer.transformers_} - dropped
    indices = transformer._transformer_to_input_indices
    return frozenset(known[place] for name in present for place in indices.get(name, ()))


def columns_of(model: Any) -> Provenance:
    """Return the columns that a model was fitted on: names, else places, else nothing."""
    names = _attribute(model, "feature_names_in_")
    if names is not None:
        return tuple(str(name) for name in names)
    return tuple(range(_attribute(model, "n_features_in_") or 0))


def _attribute(model: Any, name: str) -> Any:
    """Read what a model may not have, or may fail to tell."""
    try:
        return getattr(model, name, None)
    except BaseException:
        return None


def _params(model: Any) -> dict[str, Any]:
    try:
        return dict(model.get_params())
    except BaseException:
        return {}
