"""ONNX operators that were read, each with what it does to rows: its rule.

A rule gets what an operator is given, and returns what it makes of it; None where it may mix rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OWN_DOMAINS = ("", "ai.onnx")
ML = "ai.onnx.ml"
_EACH = frozenset(
    [
        "Abs",
        "Cast",
        "Ceil",
        "Clip",
        "Cos",
        "Elu",
        "Erf",
        "Exp",
        "Floor",
        "HardSigmoid",
        "Identity",
        "IsInf",
        "IsNaN",
        "LeakyRelu",
        "Log",
        "Neg",
        "Not",
        "Reciprocal",
        "Relu",
        "Round",
        "Selu",
        "Sigmoid",
        "Sign",
        "Sin",
        "Softplus",
        "Softsign",
        "Sqrt",
        "Tan",
        "Tanh",
        "ThresholdedRelu",
    ]
)
"""Operators from one number to one number; their other inputs are constant."""
_PAIRS = frozenset(
    [
        "Add",
        "And",
        "Div",
        "Equal",
        "Greater",
        "GreaterOrEqual",
        "Less",
        "LessOrEqual",
        "Max",
        "Min",
        "Mod",
        "Mul",
        "Or",
        "Pow",
        "Sub",
        "Sum",
        "Where",
        "Xor",
    ]
)
"""Number by number, with broadcasting."""
_ML_EACH = frozenset(["Binarizer", "Imputer", "LabelEncoder", "Scaler"])
_TREES = {"TreeEnsembleClassifier": 2, "TreeEnsembleRegressor": 1}
_REDUCED = frozenset(["ArgMax", "ArgMin", "ReduceMax", "ReduceMin"])
"""What picks one of its numbers, so that no order of sums matters."""


@dataclass(frozen=True, slots=True)
class RowValue:
    """A value whose first dimension is the rows; `tail` is the shape of one, None where unknown."""

    tail: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class FixedValue:
    """A value that is the same for every request."""

    shape: tuple[int, ...]
    value: Any = None


Value = RowValue | FixedValue
OperatorRule = Callable[[Any, Sequence[Value], Mapping[str, Any]], Sequence[Value] | None]


def size(tail: Sequence[int | None]) -> int | None:
    """Return how many numbers a row of this shape has; None where a dimension is unknown."""
    known = [n for n in tail if n is not None]
    return math.prod(known) if len(known) == len(tail) else None


def _each(_node: Any, given: Sequence[Value], _own: Mapping[str, Any]) -> Sequence[Value] | None:
    first, *rest = given
    alone = isinstance(first, RowValue) and all(isinstance(one, FixedValue) for one in rest)
    return [first] if alone else None


def _pairs(_node: Any, given: Sequence[Value], _own: Mapping[str, Any]) -> Sequence[Value] | None:
    """Broadcast: all that have rows are of one rank, and constants bring no first dimension."""
    tails = [one.tail for one in given if isinstance(one, RowValue)]
    rank = 1 + len(tails[0])
    if any(1 + len(tail) != rank for tail in tails):
        return None
    for one in given:
        if isinstance(one, FixedValue):
            # A constant that has a first dimension gives each row another value, by its place in the batch.
            if len(one.shape) > rank or (len(one.shape) == rank and one.shape[0] != 1):
                return None
            # Shapes are aligned at their ends, as in NumPy.
            tails.append(
                (1,) * (rank - 1 - len(one.shape)) + one.shape[-(rank - 1) :] if rank > 1 else ()
            )
    return [RowValue(tuple(_broadcast(dims) for dims in zip(*tails, strict=False)))]


def _broadcast(dims: Sequence[int | None]) -> int | None:
    others = {n for n in dims if n != 1}
    return 1 if not others else others.pop() if len(others) == 1 else None


def _table(given: Sequence[Value]) -> bool:
    """Whether it is rows of a known number of columns: some operators take a vector for one row."""
    first = given[0]
    return len(given) == 1 and isinstance(first, RowValue) and len(first.tail) == 1


def _ml_each(_node: Any, given: Sequence[Value], _own: Mapping[str, Any]) -> Sequence[Value] | None:
    return [given[0]] if _table(given) else None


def _labels(_node: Any, given: Sequence[Value], _own: Mapping[str, Any]) -> Sequence[Value] | None:
    return [given[0]] if len(given) == 1 else None


def _trees(node: Any, given: Sequence[Value], own: Mapping[str, Any]) -> Sequence[Value] | None:
    if not _table(given):
        return None
    scores = RowValue(
        (None if node.op_type.endswith("Classifier") else int(own.get("n_targets", 1)),)
    )
    return [RowValue(()), scores] if node.op_type.endswith("Classifier") else [scores]


def _extracted(
    _node: Any, given: Sequence[Value], _own: Mapping[str, Any]
) -> Sequence[Value] | None:
    rows, which = given
    if not isinstance(rows, RowValue) or not isinstance(which, FixedValue) or len(rows.tail) != 1:
        return None
    return [RowValue((math.prod(which.shape),))]


def _mapped(_node: Any, given: Sequence[Value], _own: Mapping[str, Any]) -> Sequence[Value] | None:
    return [RowValue(())] if _table(given) else None


def _concat(_node: Any, given: Sequence[Value], own: Mapping[str, Any]) -> Sequence[Value] | None:
    tails = [one.tail for one in given if isinstance(one, RowValue)]
    if len(tails) != len(given) or len({len(tail) for tail in tails}) != 1:
        return None
    axis = _axis(int(own["axis"]), rank=1 + len(tails[0]))
    # Along the first dimension rows are laid end to end.
    if axis == 0:
        return None
    joined = list(tails[0])
    parts = [tail[axis - 1] for tail in tails]
    joined[axis - 1] = None if None in parts else sum(n for n in parts if n is not None)
    return [RowValue(tuple(joined))]


def _axis(axis: int, *, rank: int) -> int:
    return axis + rank if axis < 0 else axis


def _reduced(node: Any, given: Sequence[Value], own: Mapping[str, Any]) -> Sequence[Value] | None:
    rows = given[0]
    if not isinstance(rows, RowValue) or not all(isinstance(one, FixedValue) for one in given[1:]):
        return None
    axes: Any = own.get("axes")
    if node.op_type.startswith("Arg"):
        axes = [own.get("axis", 0)]
    elif len(given) == 2 and isinstance(given[1], FixedValue):
        axes = given[1].value
    if not isinstance(axes, list) or not axes:
        return None  # over all
    rank = 1 + len(rows.tail)
    gone = {_axis(int(one), rank=rank) for one in axes}
    if 0 in gone:
        return None
    keeps = int(own.get("keepdims", 1))
    tail = [1 if n in gone else dim for n, dim in enumerate(rows.tail, 1) if keeps or n not in gone]
    return [RowValue(tuple(tail))]


def _reshaped(_node: Any, given: Sequence[Value], own: Mapping[str, Any]) -> Sequence[Value] | None:
    """Follow a reshape that keeps the rows: its first entry stands for them (0 or -1)."""
    rows, wanted = given
    if not isinstance(rows, RowValue) or not isinstance(wanted, FixedValue):
        return None
    shape = wanted.value
    # With `allowzero` a 0 is a length, and no longer stands for the rows.
    if not isinstance(shape, list) or not shape or own.get("allowzero"):
        return None
    first, *rest = (int(n) for n in shape)
    # Only with the inner size kept does each row stay in its own place.
    if first not in (0, -1) or any(n < 1 for n in rest) or size(rest) != size(rows.tail):
        return None
    return [RowValue(tuple(rest))]


RULES: Mapping[str, OperatorRule] = {
    **dict.fromkeys(_EACH, _each),
    **dict.fromkeys(_PAIRS, _pairs),
    **dict.fromkeys(_REDUCED, _reduced),
    "Concat": _concat,
    "Reshape": _reshaped,
}
ML_RULES: Mapping[str, OperatorRule] = {
    **dict.fromkeys(_ML_EACH - {"LabelEncoder"}, _ml_each),
    **dict.fromkeys(_TREES, _trees),
    "LabelEncoder": _labels,
    "ArrayFeatureExtractor": _extracted,
    "ZipMap": _mapped,
}
