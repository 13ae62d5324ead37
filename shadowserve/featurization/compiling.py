"""From a fitted model to a plan: read once what scikit-learn would look up at every call.

Pipelines, column transformers and feature unions are walked to any depth; everything else is a
step. What is not understood for certain is left whole, timed as one opaque step, and named in the
plan's notes.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn import get_config
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer

from .inputs import Labelled, Placed, Selector
from .plan import OVERHEAD, Kind, Op, Plan, Step
from .stacking import Stack, is_empty_selection, stack_columns, stack_union

Provenance = tuple[str | int, ...]

_PREDICTING = ("predict", "predict_proba", "decision_function")
# What is walked, and the methods whose override would make the walk another thing than the model.
_COMPOSITES: dict[type, tuple[str, ...]] = {
    Pipeline: (*_PREDICTING, "transform", "_iter"),
    ColumnTransformer: ("transform", "_iter", "_hstack", "_validate_output"),
    FeatureUnion: ("transform", "_iter", "_hstack"),
    GridSearchCV: _PREDICTING,
    RandomizedSearchCV: _PREDICTING,
    TransformedTargetRegressor: ("predict",),
}


def compile(  # noqa: A001 - as `re.compile`; always called through the package's name
    model: Any,
    *,
    method: str = "predict",
    serial: bool = False,
    opaque: Collection[str] = (),
    exact: bool = False,
) -> Plan:
    """Compile a fitted model into a plan of timed steps. The model is read, never altered.

    Parameters
    ----------
    model : estimator
        Fitted. A Pipeline is walked, inside a fitted search or `TransformedTargetRegressor` too.
    method : str
        What to call at the end: ``"predict"``, ``"predict_proba"``, ``"decision_function"``.
    serial : bool
        Walk branches one after another where the model asks for several processes (`n_jobs`). The
        output is the same; otherwise such a part is opaque.
    opaque : collection of str
        Paths of composites to leave whole; ``""`` is the model itself.
    exact : bool
        Lay inputs out by slicing a whole frame, as scikit-learn does.

    Returns
    -------
    Plan
        Always, whatever the model is. `verify` tells whether its output is bit-identical.
    """
    writes = _writes_into_input(model)
    exact = exact or writes
    builder = _Builder(method=method, serial=serial, opaque=frozenset(opaque), exact=exact)
    if writes:
        builder.notes.append("Inputs are sliced by label, which is slower: a part has copy=False.")
    try:
        getattr(model, method)
        final = builder.predict("", model, 0, _names_of(model))
    except Exception as error:  # whatever the model is, it can be timed as a whole
        reason = f"it could not be read ({type(error).__name__})"
        builder = _Builder(method=method, serial=serial, opaque=frozenset({""}), reason=reason)
        final = builder.predict("", model, 0, _names_of(model))
    columnar = None if exact else builder.columnar()
    return Plan(
        model=model,
        method=method,
        steps=tuple(builder.steps),
        notes=tuple(builder.notes),
        parts=tuple(builder.parts),
        ops=tuple(builder.ops),
        columnar_ops=columnar,
        needs=frozenset(builder.needs) if columnar else frozenset(),
        serial=serial,
        exact=exact,
        final=final,
    )


class _Builder:
    """Collects calls and steps while it descends into a model."""

    def __init__(
        self,
        *,
        method: str,
        serial: bool,
        opaque: frozenset[str],
        exact: bool = True,
        reason: str = "its timed walk gave another output",
    ) -> None:
        self.method = method
        self.serial = serial
        self.opaque = opaque
        self.exact = exact
        self.reason = reason
        self.ops: list[Op] = []
        self.steps: list[Step] = []
        self.notes: list[str] = []
        self.parts: list[str] = []
        self.needs: set[str] = set()
        self._aligned = {0}
        self._shape_only: set[int] = set()

    def columnar(self) -> tuple[Op, ...] | None:
        """Return the calls for an input in columns, if only branches read the input."""
        ops = []
        for place, op in enumerate(self.ops):
            if 0 in op.inputs and isinstance(op.call, Labelled):
                ops.append(op._replace(call=op.call.from_columns))
            elif 0 in op.inputs and isinstance(op.call, _Check):
                ops.append(op._replace(call=_unchecked))
            elif 0 in op.inputs and place not in self._shape_only:
                return None
            else:
                ops.append(op)
        return tuple(ops)

    # -- the end of the road ----------------------------------------------------------------

    def predict(self, path: str, model: Any, source: int, columns: Provenance) -> Any:
        """Emit the calls of the model's method; return the final estimator, or None."""
        kind = self._walked_as(path, model)
        if kind is Pipeline and _is_estimator_last(model):
            self.parts.append(path)
            for name, transformer in model.steps[:-1]:
                source = self.transform(_join(path, name), transformer, source, columns)
            name, last = model.steps[-1]
            return self.predict(_join(path, name), last, source, columns)
        if kind in (GridSearchCV, RandomizedSearchCV):
            self.parts.append(path)
            return self.predict(path, model.best_estimator_, source, columns)
        if kind is TransformedTargetRegressor and self._is_walkable_target(model):
            return self._transformed_target(path, model, source, columns)
        self._step(
            path or type(model).__name__.lower(),
            getattr(model, self.method, None) or partial(_call, model, self.method),
            source,
            columns,
            kind="opaque" if kind is None else "estimator",
            jobs=_jobs(model),
        )
        return model

    def _is_walkable_target(self, model: Any) -> bool:
        return type(model.regressor_) is Pipeline and self.method == "predict"

    def _transformed_target(self, path: str, model: Any, source: int, columns: Provenance) -> None:
        self.parts.append(path)
        self.predict(path, model.regressor_, source, columns)
        self._step(
            _join(path, "inverse_transform"),
            partial(_invert_target, model.transformer_, model._training_dim),
            len(self.ops),
            columns,
            kind="estimator",
        )

    # -- transformers -----------------------------------------------------------------------

    def transform(
        self, path: str, transformer: Any, source: int, columns: Provenance, weight: Any = None
    ) -> int:
        """Emit the calls of one transformer; return the number of its output."""
        if transformer is None or (isinstance(transformer, str) and transformer == "passthrough"):
            return source
        kind = self._walked_as(path, transformer)
        walk = {
            Pipeline: self._pipeline,
            ColumnTransformer: self._columns,
            FeatureUnion: self._union,
        }.get(kind or object)
        if walk is not None:
            self.parts.append(path)
            output = walk(path, transformer, source, columns)
            return output if weight is None else self._emit(partial(_weigh, weight), (output,))
        call = transformer.transform
        return self._step(
            path,
            call if weight is None else partial(_transform_and_weigh, call, weight),
            source,
            columns,
            kind="opaque" if kind is None else "featurization",
            jobs=_jobs(transformer),
        )

    def _pipeline(self, path: str, pipeline: Any, source: int, columns: Provenance) -> int:
        for name, transformer in pipeline.steps:
            source = self.transform(_join(path, name), transformer, source, columns)
        return source

    def _columns(self, path: str, transformer: Any, source: int, columns: Provenance) -> int:
        known = _fitted_names(transformer)
        required = _required(transformer, known)
        self._emit(_Check(transformer, required, by_name=known is not None), (source,))
        if source == 0:
            self.needs.update(required)
        branches = []
        # All inputs before the first transformer, as scikit-learn does: one that writes into a view
        # of its input must not be seen by a branch that was cut out before.
        for name, branch, declared in transformer.transformers_:
            if _is_drop(branch) or is_empty_selection(declared):
                continue
            indices = transformer._transformer_to_input_indices[name]
            selector, names = self._selector(known, indices, declared, source, columns)
            taken = self._emit(selector, (source,))
            self._aligned.add(taken)
            branches.append((name, branch, taken, names))
        weight = (transformer.transformer_weights or {}).get
        outputs = [
            self.transform(_join(path, name), branch, taken, names, weight(name))
            for name, branch, taken, names in branches
        ]
        return self._stack(stack_columns(transformer, _frame_names(transformer)), source, outputs)

    def _selector(
        self,
        known: np.ndarray | None,
        indices: Sequence[int],
        declared: Any,
        source: int,
        columns: Provenance,
    ) -> tuple[Selector, Provenance]:
        """Return what picks a branch's input, and the request's columns that it comes from."""
        if known is not None:
            names = tuple(known[list(indices)])
            origin = names if set(names) <= set(columns) else columns
            return Labelled(names, declared=declared, exact=self.exact), origin
        is_aligned = source in self._aligned and all(index < len(columns) for index in indices)
        origin = tuple(columns[index] for index in indices) if is_aligned else columns
        return Placed(declared), origin

    def _stack(self, stack: Stack, source: int, outputs: list[int]) -> int:
        self._shape_only.add(len(self.ops))
        return self._emit(stack, (source, *outputs))

    def _union(self, path: str, union: Any, source: int, columns: Provenance) -> int:
        outputs = []
        for name, branch in union.transformer_list:
            if _is_drop(branch):
                continue
            if isinstance(branch, str) and branch == "passthrough":
                branch = FunctionTransformer(feature_names_out="one-to-one")
            weight = (union.transformer_weights or {}).get(name)
            outputs.append(self.transform(_join(path, name), branch, source, columns, weight))
        return self._stack(stack_union(union, _frame_names(union)), source, outputs)

    # -- bookkeeping ------------------------------------------------------------------------

    def _walked_as(self, path: str, model: Any) -> type | None:
        """Return the class to walk the model as, its own class for a leaf, None for opaque."""
        base = next((known for known in _COMPOSITES if isinstance(model, known)), None)
        if path in self.opaque:
            reason: str | None = self.reason
        elif base is None:
            return type(model)
        else:
            reason = self._reason(base, model)
        if reason is None:
            return base
        self.notes.append(f"{path or type(model).__name__} is timed as one step: {reason}.")
        return None

    def _reason(self, base: type, model: Any) -> str | None:
        overridden = _overridden(model, base)
        if overridden:
            return f"{type(model).__name__} has its own {overridden}"
        jobs = _jobs(model)
        if base in (ColumnTransformer, FeatureUnion):
            if jobs is not None and not self.serial:
                return f"its n_jobs={jobs} may leave the process"
            if _container(model) not in ("default", "pandas"):
                return f"its output is set to {_container(model)}"
            return _unnameable(model)
        return None

    def _emit(self, call: Any, inputs: tuple[int, ...], step: int = OVERHEAD) -> int:
        self.ops.append(Op(call, inputs, step))
        return len(self.ops)

    def _step(
        self,
        path: str,
        call: Any,
        source: int,
        columns: Provenance,
        *,
        kind: Kind,
        jobs: int | None = None,
    ) -> int:
        self.steps.append(Step(path, columns, kind, jobs))
        if jobs is not None:
            self.notes.append(f"{path} asks for n_jobs={jobs}: its CPU time is that of one thread.")
        return self._emit(call, (source,), len(self.steps) - 1)


class _Check:
    """A column transformer's own complaint about its input, made by itself where there is cause."""

    def __init__(self, transformer: Any, required: frozenset[str], *, by_name: bool) -> None:
        self.transformer = transformer
        self.required = required
        self.by_name = by_name

    def __call__(self, values: Any) -> None:
        if self.by_name and isinstance(values, pd.DataFrame):
            is_fine = self.required <= frozenset(values.columns)
        else:
            is_fine = values.shape[1] == self.transformer.n_features_in_
        if not is_fine:
            self.transformer.transform(values)


def _unchecked(columns: Any) -> None:
    """Stand in for a check that was made when the columns were laid out."""


def _call(model: Any, method: str, values: Any) -> Any:
    return getattr(model, method)(values)


def _weigh(weight: float, values: Any) -> Any:
    return values * weight


def _transform_and_weigh(transform: Any, weight: float, values: Any) -> Any:
    return transform(values) * weight


def _invert_target(transformer: Any, training_dim: int, predicted: Any) -> Any:
    if predicted.ndim == 1:
        predicted = predicted.reshape(-1, 1)
    inverted = transformer.inverse_transform(predicted)
    if training_dim == 1 and inverted.ndim == 2 and inverted.shape[1] == 1:
        return inverted.squeeze(axis=1)
    return inverted


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def _is_drop(transformer: Any) -> bool:
    return isinstance(transformer, str) and transformer == "drop"


def _is_estimator_last(pipeline: Any) -> bool:
    last = pipeline.steps[-1][1]
    return last is not None and not isinstance(last, str)


def _overridden(model: Any, base: type) -> str | None:
    """Return the first method that is not the base class's own, be it by class or by instance."""
    for name in (*_COMPOSITES[base], "__getattribute__"):
        static = inspect.getattr_static(type(model), name, None)
        if name in vars(model) or static is not inspect.getattr_static(base, name, None):
            return name
    return None


def _jobs(model: Any) -> int | None:
    """Return the n_jobs that a fitted object, or any of its parts, asks for; None for one."""
    own = getattr(model, "n_jobs", None)
    if own not in (None, 1):
        return int(own)
    if type(model) in _COMPOSITES or not hasattr(model, "get_params"):
        return None
    asked = [value for key, value in model.get_params().items() if key.endswith("__n_jobs")]
    return next((int(jobs) for jobs in asked if jobs not in (None, 1)), None)


def _writes_into_input(model: Any) -> bool:
    """Whether a part was told to spare itself the copy."""
    try:
        params = model.get_params()
    except Exception:
        return False
    return any(
        value is False and key.rpartition("__")[2] == "copy" for key, value in params.items()
    )


def _container(model: Any) -> str:
    own = getattr(model, "_sklearn_output_config", {}).get("transform")
    return str(own or get_config()["transform_output"])


def _unnameable(model: Any) -> str | None:
    """Return why frames cannot be stacked by names known from fit, or None."""
    if _container(model) == "default":
        return None
    if getattr(model, "sparse_output_", False):
        return "its output is sparse although frames are asked for"
    branches = getattr(model, "transformers_", None) or model.transformer_list
    named = (part for _, part, *_ in branches if not isinstance(part, str))
    if not all(hasattr(part, "get_feature_names_out") for part in named):
        return "the names of its output are not known from fit"
    try:
        model.get_feature_names_out()
    except Exception as error:
        return f"the names of its output are not known from fit ({type(error).__name__})"
    return None


def _frame_names(model: Any) -> pd.Index | None:
    if _container(model) == "default":
        return None
    names: pd.Index = pd.Index(model.get_feature_names_out())
    return names


def _fitted_names(transformer: Any) -> np.ndarray | None:
    return getattr(transformer, "feature_names_in_", None)


def _required(transformer: Any, known: np.ndarray | None) -> frozenset[str]:
    """Return the names that must be there: all that a branch reads, dropped ones aside."""
    if known is None:
        return frozenset()
    dropped = {name for name, branch, _ in transformer.transformers_ if _is_drop(branch)}
    present = {name for name, _, _ in transformer.transformers_} - dropped
    indices = transformer._transformer_to_input_indices
    return frozenset(known[place] for name in present for place in indices.get(name, ()))


def _names_of(model: Any) -> Provenance:
    """Return the columns that a model was fitted on: names, else places, else nothing."""
    names = _attribute(model, "feature_names_in_")
    if names is not None:
        return tuple(str(name) for name in names)
    return tuple(range(_attribute(model, "n_features_in_") or 0))


def _attribute(model: Any, name: str) -> Any:
    """Read what a model may not have, or may fail to tell."""
    try:
        return getattr(model, name, None)
    except Exception:
        return None
