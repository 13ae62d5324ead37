"""The compiler of plans: it reads once, from a fitted model, what scikit-learn looks up at every call.

Pipelines, column transformers and feature unions are walked to any depth; everything else is a
step. What is not understood for certain is left whole, timed as one opaque step, and named in the
plan's notes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer

from shadowserve.faults import fault_of
from shadowserve.scorer.structure.genuine import patched

from .asked_once import AskedOnce, asked_once
from .fitted import (
    COMPOSITES,
    Provenance,
    columns_of,
    container_of,
    ends_with_estimator,
    frame_names,
    is_drop,
    is_empty_selection,
    is_passed_through,
    jobs_of,
    names_in,
    overridden,
    required_names,
    why_unnameable,
    writes_into_input,
)
from .inputs import Labelled, Placed, Selector
from .plan import OVERHEAD, Kind, Op, Plan, Step
from .stacking import Stack, stack_columns, stack_union


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
        Lay inputs out by slicing a whole frame and ask all that scikit-learn asks, as it does.

    Returns
    -------
    Plan
        Always, whatever the model is. `verify` tells whether its output is bit-identical.
    """
    writes = writes_into_input(model)
    exact = exact or writes
    builder = _Builder(method=method, serial=serial, opaque=frozenset(opaque), exact=exact)
    if writes:
        builder.notes.append("Inputs are sliced by label, which is slower: a part has copy=False.")
    try:
        getattr(model, method)
        final = builder.predict("", model, 0, columns_of(model))
    except BaseException as error:  # whatever the model is, it can be timed as a whole
        reason = f"it could not be read ({fault_of(error).type})"
        # Begun anew: half-read, the first one holds steps that lead nowhere.
        builder = _Builder(method=method, serial=serial, opaque=frozenset({""}), reason=reason)
        final = builder.predict("", model, 0, columns_of(model))
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
        # Where a library's own code was replaced, nobody knows what it asks.
        self.asks = exact or patched() is not None
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
        readers: dict[int, list[Op]] = {}
        for op in self.ops:
            for number in op.inputs:
                readers.setdefault(number, []).append(op)
        for place, op in enumerate(self.ops):
            if 0 in op.inputs and isinstance(op.call, Labelled):
                ops.append(op._replace(call=_laid_for(readers[place + 1], op.call)))
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
        if kind is Pipeline and ends_with_estimator(model):
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
        own = getattr(model, self.method, None)
        self._step(
            path or type(model).__name__.lower(),
            partial(_call, model, self.method) if own is None else self._spared(model, own),
            source,
            columns,
            kind="opaque" if kind is None else "estimator",
            jobs=jobs_of(model),
            model=model,
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
        if is_passed_through(transformer):
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
        call = self._spared(transformer, transformer.transform)
        return self._step(
            path,
            call if weight is None else partial(_transform_and_weigh, call, weight),
            source,
            columns,
            kind="opaque" if kind is None else "featurization",
            jobs=jobs_of(transformer),
            model=transformer,
        )

    def _pipeline(self, path: str, pipeline: Any, source: int, columns: Provenance) -> int:
        for name, transformer in pipeline.steps:
            source = self.transform(_join(path, name), transformer, source, columns)
        return source

    def _columns(self, path: str, transformer: Any, source: int, columns: Provenance) -> int:
        known = names_in(transformer)
        required = required_names(transformer, known)
        # A missing column must raise what the model itself would raise, so it is found before any branch.
        self._emit(_Check(transformer, required, by_name=known is not None), (source,))
        if source == 0:
            self.needs.update(required)
        branches = []
        # All inputs before the first transformer, as scikit-learn does: one that writes into a view
        # of its input must not be seen by a branch that was cut out before.
        for name, branch, declared in transformer.transformers_:
            if is_drop(branch) or is_empty_selection(declared):
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
        return self._stack(stack_columns(transformer, frame_names(transformer)), source, outputs)

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
        # Places name a column of the request only while nothing has come between.
        is_aligned = source in self._aligned and all(index < len(columns) for index in indices)
        origin = tuple(columns[index] for index in indices) if is_aligned else columns
        return Placed(declared), origin

    def _stack(self, stack: Stack, source: int, outputs: list[int]) -> int:
        self._shape_only.add(len(self.ops))
        return self._emit(stack, (source, *outputs))

    def _union(self, path: str, union: Any, source: int, columns: Provenance) -> int:
        outputs = []
        for name, branch in union.transformer_list:
            if is_drop(branch):
                continue
            # scikit-learn puts the same into its place, so names and dtypes of the output agree.
            if is_passed_through(branch):
                branch = FunctionTransformer(feature_names_out="one-to-one")
            weight = (union.transformer_weights or {}).get(name)
            outputs.append(self.transform(_join(path, name), branch, source, columns, weight))
        return self._stack(stack_union(union, frame_names(union)), source, outputs)

    # -- bookkeeping ------------------------------------------------------------------------

    def _walked_as(self, path: str, model: Any) -> type | None:
        """Return the class to walk the model as, its own class for a leaf, None for opaque."""
        base = next((known for known in COMPOSITES if isinstance(model, known)), None)
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
        method = overridden(model, base)
        if method is not None:
            return f"{type(model).__name__} has its own {method}"
        jobs = jobs_of(model)
        if base in (ColumnTransformer, FeatureUnion):
            if jobs is not None and not self.serial:
                return f"its n_jobs={jobs} may leave the process"
            if container_of(model) not in ("default", "pandas"):
                return f"its output is set to {container_of(model)}"
            return why_unnameable(model)
        return None

    def _spared(self, model: Any, own: Any) -> Any:
        """Return a leaf's method, spared what it would ask at every call where that is known."""
        return own if self.asks else asked_once(model, own) or own

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
        model: Any = None,
    ) -> int:
        made_of = "" if model is None else f"{type(model).__module__}.{type(model).__qualname__}"
        self.steps.append(Step(path, columns, kind, jobs, made_of))
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
            # It raises here, in its own words.
            self.transformer.transform(values)


def _laid_for(readers: Sequence[Op], labelled: Labelled) -> Any:
    """Return what lays a branch's input out for the calls that read it."""
    call = readers[0].call if len(readers) == 1 else None
    if isinstance(call, AskedOnce) and call.layout is not None:
        return partial(labelled.lay_out, call.layout)
    return labelled.from_columns


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
