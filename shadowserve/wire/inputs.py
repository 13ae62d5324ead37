"""The Open Inference Protocol's inputs: named tensors with a declared shape and datatype, checked.

What is declared must hold of the values themselves: a datatype's range, the number of values, the
lengths of nested lists. Which column or tensor of the model they are is `oip`'s matter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from shadowserve.errors import RequestError
from shadowserve.legible import quoted
from shadowserve.schema.scalars import kind_of
from shadowserve.wire import limits

Table = dict[str, tuple[list[Any], list[int]]]
"""Inputs by name: their values, row-major, and their shape."""

MAX_DIMENSIONS = 64
_DATATYPES: dict[str, tuple[type, ...]] = (
    {"BOOL": (bool,), "BYTES": (str,)}
    | {f"{sign}INT{bits}": (int,) for sign in ("", "U") for bits in (8, 16, 32, 64)}
    | {f"FP{bits}": (float, int) for bits in (16, 32, 64)}
)
_LARGEST = {
    "FP16": float(np.finfo(np.float16).max),
    "FP32": float(np.finfo(np.float32).max),
}


def malformed(what: str, *, code: str = "wrong_protocol") -> RequestError:
    """Return the refusal that says how the protocol has it."""
    return RequestError(f"{what}, as the Open Inference Protocol has it.", code=code)


def table_of(inputs: Sequence[Any]) -> Table:
    """Read a request's inputs, each against its own shape and datatype.

    Returns
    -------
    dict of name to (values, shape)
        Values row-major.

    Raises
    ------
    RequestError
        Status 400 or 413; 415 for the binary data extension.
    """
    table: Table = {}
    for each in inputs:
        if type(each) is not dict or type(each.get("name")) is not str:
            raise malformed("An input is an object with name, shape, datatype and data")
        options = each.get("parameters")
        if type(options) is dict and "binary_data_size" in options:
            raise RequestError(
                "The binary data extension is not spoken here; send data as JSON.",
                code="unsupported_media_type",
                status=415,
            )
        # A mapping would keep the last, and nobody would be told.
        if each["name"] in table:
            raise malformed("Every input comes once", code="duplicate_key")
        table[each["name"]] = _flat(each)
    n_rows = next((shape[0] for _, shape in table.values()), 0)
    limits.check(n_rows=n_rows, n_columns=len(table))
    return table


def _flat(each: Mapping[str, Any]) -> tuple[list[Any], list[int]]:
    """Check one input against its own shape and datatype; return its values, row-major."""
    name, shape, data = each["name"], each.get("shape"), each.get("data")
    if type(shape) is not list or not shape or any(type(n) is not int or n < 0 for n in shape):
        raise malformed(f"The shape of {quoted(name)} is a list of whole numbers")
    if len(shape) > MAX_DIMENSIONS:  # the product of thousands takes minutes
        raise malformed(
            f"The shape of {quoted(name)} has {len(shape)} dimensions, {MAX_DIMENSIONS} are the limit",
            code="wrong_shape",
        )
    if type(data) is not list:
        raise malformed(f"The data of {quoted(name)} is a list")
    # The protocol allows both flat and nested data.
    if data and type(data[0]) is list:
        data = _unnested(data, shape, name)
    if len(data) != math.prod(shape):
        raise malformed(
            f"The data of {quoted(name)} has {len(data)} values, its shape asks for {math.prod(shape)}",
            code="wrong_shape",
        )
    _check_datatype(name, each.get("datatype"), data, per_row=max(1, len(data) // max(1, shape[0])))
    return data, shape


def _unnested(data: list[Any], shape: Sequence[int], name: str) -> list[Any]:
    """Lay nested data out row-major; its lengths are those of the shape, or it is another array."""
    # Flattening alone would take a 2 x 3 array for a 3 x 2 one.
    level, fits = data, len(data) == shape[0]
    for width in shape[1:]:
        fits = fits and all(type(each) is list and len(each) == width for each in level)
        if not fits:
            break
        level = [leaf for each in level for leaf in each]
    if not fits or any(type(leaf) is list for leaf in level):
        raise malformed(
            f"The nested data of {quoted(name)} has the lengths of its shape", code="wrong_shape"
        )
    return level


def _check_datatype(name: str, datatype: Any, data: Sequence[Any], *, per_row: int) -> None:
    kinds = _DATATYPES.get(datatype) if type(datatype) is str else None
    if kinds is None:
        raise malformed(f"The datatype of {quoted(name)} is one of {', '.join(_DATATYPES)}")
    for place, value in enumerate(data):
        if value is not None and not (type(value) in kinds and _is_within(datatype, value)):
            raise RequestError(
                f"Input {quoted(name)}, row {place // per_row}: {datatype} is declared, "
                f"{kind_of(value)} that is none came.",
                code="wrong_type",
                column=name,
                row=place // per_row,
            )


def _is_within(datatype: str, value: Any) -> bool:
    if datatype in _LARGEST:
        # Beyond it the cast would make infinity of a number that was sent.
        return bool(abs(value) <= _LARGEST[datatype])
    if "INT" not in datatype:
        return True
    bits = int(datatype.removeprefix("U").removeprefix("INT"))
    if datatype.startswith("U"):
        return bool(0 <= value < 1 << bits)
    return bool(-(1 << (bits - 1)) <= value < 1 << (bits - 1))
