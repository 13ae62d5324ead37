"""ONNX graphs that are known, operator by operator, to look at one row at a time.

A graph is followed from its inputs, whose first dimension must be free. Each operator on the list was read
for what it does with the first dimension; what it does depends on ranks, axes and constants, so those are
followed too. Anything else, such as a sum over rows, a loop or an operator of somebody's own, is unknown.

Sums in single precision may round differently in company, in the seventh digit. So matrix products and
linear models are left out though they mix no rows, and trees are known only where the session has one
thread: with several, ONNX Runtime adds up the trees of many rows in another order than those of few.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_OWN_DOMAINS = ("", "ai.onnx")
_ML = "ai.onnx.ml"
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
"""One number in, one out; whatever else they take is constant."""
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
class _Rows:
    """A value whose first dimension is the rows; `tail` is the shape of one, None where unknown."""

    tail: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class _Constant:
    """A value that is the same for every request."""

    shape: tuple[int, ...]
    value: Any = None


_Value = _Rows | _Constant
_Rule = Callable[[Any, Sequence[_Value], Mapping[str, Any]], Sequence[_Value] | None]


def unknown_operator(path: Path, session: Any) -> str | None:
    """Return what in an ONNX model may look at a row's neighbours; None if nothing does.

    Parameters
    ----------
    path : Path
        The model's file.
    session : object
        What runs it: ONNX Runtime's ``InferenceSession``.

    Returns
    -------
    str or None
        The first operator or value that is not known, by its name in ONNX; no value.
    """
    if not type(session).__module__.startswith("onnxruntime."):
        return "its session, which is not ONNX Runtime's"
    if session.get_providers() != ["CPUExecutionProvider"]:
        return "its sums, as its session runs on more than the CPU"
    if session.get_session_options().intra_op_num_threads != 1:
        return (
            "its sums, as its session may use several threads "
            "(log it with onnx_session_options={'intra_op_num_threads': 1})"
        )
    try:
        import onnx
    except ImportError:
        return "its graph, which needs the package onnx to be read"
    return unknown_in(onnx.load(str(path), load_external_data=False))


def unknown_in(model: Any) -> str | None:
    """Return the same for a parsed model, an ``onnx.ModelProto``."""
    graph = model.graph
    if model.functions or graph.sparse_initializer:
        return "functions or sparse constants of its graph"
    known: dict[str, _Value] = {one.name: _constant(one) for one in graph.initializer}
    for each in graph.input:
        if each.name in known:
            continue
        rows = _input(each)
        if rows is None:
            return "an input of its graph whose first dimension alone is not free"
        known[each.name] = rows
    for node in graph.node:
        given = [known.get(name) for name in node.input if name]
        if any(one is None for one in given):
            return f"the operator {node.op_type} of its graph"
        made = _made(node, [one for one in given if one is not None])
        if made is None or len(made) < len(node.output):
            return f"the operator {node.op_type} of its graph"
        known.update(zip(node.output, made, strict=False))
    for each in graph.output:
        found = known.get(each.name)
        if not isinstance(found, _Rows) or _size(found.tail) != 1:
            return "an output of its graph that is not one value a row"
    return None


def _made(node: Any, given: Sequence[_Value]) -> Sequence[_Value] | None:
    """Return what a node makes of its inputs; None where it may mix rows."""
    import onnx

    own = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    if node.domain in _OWN_DOMAINS:
        if node.op_type == "Constant":
            return _of_constant(own)
        rule = _RULES.get(node.op_type)
    else:
        rule = _ML_RULES.get(node.op_type) if node.domain == _ML else None
    if rule is None or not given:
        return None
    if not any(isinstance(one, _Rows) for one in given):
        return [given[0]] if node.op_type == "Identity" else None
    return rule(node, given, own)


def _input(each: Any) -> _Rows | None:
    if not each.type.HasField("tensor_type") or not each.type.tensor_type.HasField("shape"):
        return None
    dims = list(each.type.tensor_type.shape.dim)
    if not dims or dims[0].HasField("dim_value"):
        return None
    if not all(dim.HasField("dim_value") for dim in dims[1:]):
        return None
    return _Rows(tuple(int(dim.dim_value) for dim in dims[1:]))


def _constant(tensor: Any) -> _Constant:
    import onnx

    shape = tuple(int(n) for n in tensor.dims)
    small = tensor.data_type in (onnx.TensorProto.INT64, onnx.TensorProto.INT32)
    read = small and math.prod(shape) <= 64 and not tensor.external_data
    return _Constant(shape, onnx.numpy_helper.to_array(tensor).tolist() if read else None)


def _of_constant(own: Mapping[str, Any]) -> Sequence[_Value] | None:
    if "value" in own:
        return [_constant(own["value"])]
    for name in ("value_int", "value_float", "value_string"):
        if name in own:
            return [_Constant((), own[name])]
    for name in ("value_ints", "value_floats", "value_strings"):
        if name in own:
            return [_Constant((len(own[name]),), list(own[name]))]
    return None


def _size(tail: Sequence[int | None]) -> int | None:
    known = [n for n in tail if n is not None]
    return math.prod(known) if len(known) == len(tail) else None


def _each(_node: Any, given: Sequence[_Value], _own: Mapping[str, Any]) -> Sequence[_Value] | None:
    first, *rest = given
    alone = isinstance(first, _Rows) and all(isinstance(one, _Constant) for one in rest)
    return [first] if alone else None


def _pairs(_node: Any, given: Sequence[_Value], _own: Mapping[str, Any]) -> Sequence[_Value] | None:
    """Broadcast: all that have rows are of one rank, and constants bring no first dimension."""
    tails = [one.tail for one in given if isinstance(one, _Rows)]
    rank = 1 + len(tails[0])
    if any(1 + len(tail) != rank for tail in tails):
        return None
    for one in given:
        if isinstance(one, _Constant):
            if len(one.shape) > rank or (len(one.shape) == rank and one.shape[0] != 1):
                return None
            tails.append(
                (1,) * (rank - 1 - len(one.shape)) + one.shape[-(rank - 1) :] if rank > 1 else ()
            )
    return [_Rows(tuple(_broadcast(dims) for dims in zip(*tails, strict=False)))]


def _broadcast(dims: Sequence[int | None]) -> int | None:
    others = {n for n in dims if n != 1}
    return 1 if not others else others.pop() if len(others) == 1 else None


def _table(given: Sequence[_Value]) -> bool:
    """Whether it is rows of a known number of columns: some operators take a vector for one row."""
    first = given[0]
    return len(given) == 1 and isinstance(first, _Rows) and len(first.tail) == 1


def _ml_each(
    _node: Any, given: Sequence[_Value], _own: Mapping[str, Any]
) -> Sequence[_Value] | None:
    return [given[0]] if _table(given) else None


def _labels(
    _node: Any, given: Sequence[_Value], _own: Mapping[str, Any]
) -> Sequence[_Value] | None:
    return [given[0]] if len(given) == 1 else None


def _trees(node: Any, given: Sequence[_Value], own: Mapping[str, Any]) -> Sequence[_Value] | None:
    if not _table(given):
        return None
    scores = _Rows((None if node.op_type.endswith("Classifier") else int(own.get("n_targets", 1)),))
    return [_Rows(()), scores] if node.op_type.endswith("Classifier") else [scores]


def _extracted(
    _node: Any, given: Sequence[_Value], _own: Mapping[str, Any]
) -> Sequence[_Value] | None:
    rows, which = given
    if not isinstance(rows, _Rows) or not isinstance(which, _Constant) or len(rows.tail) != 1:
        return None
    return [_Rows((math.prod(which.shape),))]


def _mapped(
    _node: Any, given: Sequence[_Value], _own: Mapping[str, Any]
) -> Sequence[_Value] | None:
    return [_Rows(())] if _table(given) else None


def _concat(_node: Any, given: Sequence[_Value], own: Mapping[str, Any]) -> Sequence[_Value] | None:
    tails = [one.tail for one in given if isinstance(one, _Rows)]
    if len(tails) != len(given) or len({len(tail) for tail in tails}) != 1:
        return None
    axis = _axis(int(own["axis"]), rank=1 + len(tails[0]))
    if axis == 0:
        return None
    joined = list(tails[0])
    parts = [tail[axis - 1] for tail in tails]
    joined[axis - 1] = None if None in parts else sum(n for n in parts if n is not None)
    return [_Rows(tuple(joined))]


def _axis(axis: int, *, rank: int) -> int:
    return axis + rank if axis < 0 else axis


def _reduced(node: Any, given: Sequence[_Value], own: Mapping[str, Any]) -> Sequence[_Value] | None:
    rows = given[0]
    if not isinstance(rows, _Rows) or not all(isinstance(one, _Constant) for one in given[1:]):
        return None
    axes: Any = own.get("axes")
    if node.op_type.startswith("Arg"):
        axes = [own.get("axis", 0)]
    elif len(given) == 2 and isinstance(given[1], _Constant):
        axes = given[1].value
    if not isinstance(axes, list) or not axes:
        return None  # over all
    rank = 1 + len(rows.tail)
    gone = {_axis(int(one), rank=rank) for one in axes}
    if 0 in gone:
        return None
    keeps = int(own.get("keepdims", 1))
    tail = [1 if n in gone else dim for n, dim in enumerate(rows.tail, 1) if keeps or n not in gone]
    return [_Rows(tuple(tail))]


def _reshaped(
    _node: Any, given: Sequence[_Value], own: Mapping[str, Any]
) -> Sequence[_Value] | None:
    """Follow a reshape that keeps the rows: its first entry is theirs, or what is left for them."""
    rows, wanted = given
    if not isinstance(rows, _Rows) or not isinstance(wanted, _Constant):
        return None
    shape = wanted.value
    if not isinstance(shape, list) or not shape or own.get("allowzero"):
        return None
    first, *rest = (int(n) for n in shape)
    if first not in (0, -1) or any(n < 1 for n in rest) or _size(rest) != _size(rows.tail):
        return None
    return [_Rows(tuple(rest))]


_RULES: Mapping[str, _Rule] = {
    **dict.fromkeys(_EACH, _each),
    **dict.fromkeys(_PAIRS, _pairs),
    **dict.fromkeys(_REDUCED, _reduced),
    "Concat": _concat,
    "Reshape": _reshaped,
}
_ML_RULES: Mapping[str, _Rule] = {
    **dict.fromkeys(_ML_EACH - {"LabelEncoder"}, _ml_each),
    **dict.fromkeys(_TREES, _trees),
    "LabelEncoder": _labels,
    "ArrayFeatureExtractor": _extracted,
    "ZipMap": _mapped,
}
