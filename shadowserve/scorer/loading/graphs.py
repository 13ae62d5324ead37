"""ONNX graphs that are known, operator by operator, to look at one row at a time.

A graph is followed from its inputs, whose first dimension must be free. Each operator on the list
(`operators`) was read for what it does with the first dimension. That depends on ranks, axes and
constants, so those are followed too. Anything else, such as a sum over rows, a loop or an operator
of somebody's own, is unknown.

Sums in single precision may round differently in company, in the seventh digit. So matrix products
and linear models are left out though they mix no rows. Trees are known only where the session has
one thread. With several, ONNX Runtime adds up the trees of many rows in another order than those of
few.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shadowserve.scorer.loading.operators import (
    ML,
    ML_RULES,
    OWN_DOMAINS,
    RULES,
    FixedValue,
    RowValue,
    Value,
    size,
)


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
    # Weights in files of their own say nothing of what the operators do.
    return unknown_in(onnx.load(str(path), load_external_data=False))


def unknown_in(model: Any) -> str | None:
    """Return the same for a parsed model, an ``onnx.ModelProto``."""
    graph = model.graph
    if model.functions or graph.sparse_initializer:
        return "functions or sparse constants of its graph"
    known: dict[str, Value] = {one.name: _constant(one) for one in graph.initializer}
    for each in graph.input:
        # Older graphs list their constants among the inputs.
        if each.name in known:
            continue
        rows = _input(each)
        if rows is None:
            return "an input of its graph whose first dimension alone is not free"
        known[each.name] = rows
    for node in graph.node:
        # An empty name stands for an optional input that is left out.
        given = [known.get(name) for name in node.input if name]
        if any(one is None for one in given):
            return f"the operator {node.op_type} of its graph"
        made = _made(node, [one for one in given if one is not None])
        # An output that no rule speaks of may be anything.
        if made is None or len(made) < len(node.output):
            return f"the operator {node.op_type} of its graph"
        known.update(zip(node.output, made, strict=False))
    for each in graph.output:
        found = known.get(each.name)
        if not isinstance(found, RowValue) or size(found.tail) != 1:
            return "an output of its graph that is not one value a row"
    return None


def _made(node: Any, given: Sequence[Value]) -> Sequence[Value] | None:
    """Return what a node makes of its inputs; None where it may mix rows."""
    import onnx

    own = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    if node.domain in OWN_DOMAINS:
        if node.op_type == "Constant":
            return _of_constant(own)
        rule = RULES.get(node.op_type)
    else:
        rule = ML_RULES.get(node.op_type) if node.domain == ML else None
    if rule is None or not given:
        return None
    if not any(isinstance(one, RowValue) for one in given):
        return [given[0]] if node.op_type == "Identity" else None
    return rule(node, given, own)


def _input(each: Any) -> RowValue | None:
    if not each.type.HasField("tensor_type") or not each.type.tensor_type.HasField("shape"):
        return None
    dims = list(each.type.tensor_type.shape.dim)
    # A model of a fixed number of rows takes no company.
    if not dims or dims[0].HasField("dim_value"):
        return None
    if not all(dim.HasField("dim_value") for dim in dims[1:]):
        return None
    return RowValue(tuple(int(dim.dim_value) for dim in dims[1:]))


def _constant(tensor: Any) -> FixedValue:
    import onnx

    shape = tuple(int(n) for n in tensor.dims)
    small = tensor.data_type in (onnx.TensorProto.INT64, onnx.TensorProto.INT32)
    # Axes and shapes are small whole numbers; weights are never read.
    read = small and math.prod(shape) <= 64 and not tensor.external_data
    return FixedValue(shape, onnx.numpy_helper.to_array(tensor).tolist() if read else None)


def _of_constant(own: Mapping[str, Any]) -> Sequence[Value] | None:
    if "value" in own:
        return [_constant(own["value"])]
    for name in ("value_int", "value_float", "value_string"):
        if name in own:
            return [FixedValue((), own[name])]
    for name in ("value_ints", "value_floats", "value_strings"):
        if name in own:
            return [FixedValue((len(own[name]),), list(own[name]))]
    return None
