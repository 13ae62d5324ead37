"""The typing rule as JSON Schema: what one cell, one record, one tensor may be.

JSON Schema cannot say all of the rule. A whole number that float64 does not hold exactly, or the
thirtieth of February, passes here and is a 400 there. Nothing that the rule takes is excluded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from shadowserve.schema.columns import Column
from shadowserve.schema.nested import is_needed
from shadowserve.schema.schema import Schema
from shadowserve.schema.tensors import Tensor

Json = dict[str, Any]

_FLOAT32 = float(np.finfo(np.float32).max)
# The years that 64 bits of nanoseconds reach.
_YEAR = r"(167[7-9]|16[89]\d|1[7-9]\d\d|2[01]\d\d|22[0-5]\d|226[0-2])"
_DAY = rf"{_YEAR}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
_HOUR, _MINUTE = r"([01]\d|2[0-3])", r"[0-5]\d"
_ZONE = rf"(Z|[+-]{_HOUR}:?{_MINUTE})"
_MOMENT = rf"^{_DAY}([T ]{_HOUR}:{_MINUTE}(:{_MINUTE}(\.\d{{1,9}})?)?{_ZONE}?)?$"
# Line breaks may stand anywhere, as the reader takes them out.
_SIGN = r"([A-Za-z0-9+/]\n*)"
_BASE64 = rf"^\n*({_SIGN}{{4}})*({_SIGN}{{2}}=\n*=\n*|{_SIGN}{{3}}=\n*)?$"
_SCALARS: Mapping[str, Json] = {
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    "long": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    "float": {"type": "number", "minimum": -_FLOAT32, "maximum": _FLOAT32},
    "double": {"type": "number"},
    "string": {"type": "string"},
    "binary": {"type": "string", "contentEncoding": "base64", "pattern": _BASE64},
    "datetime": {"type": "string", "pattern": _MOMENT},
}
_NULL_IS_MISSING = frozenset({"float", "double", "datetime"})
_EXAMPLES: Mapping[str, Any] = {
    "boolean": True,
    "integer": 41,
    "long": 41,
    "float": 0.5,
    "double": 0.5,
    "string": "text",
    "binary": "aGk=",
    "datetime": "2024-03-01T12:00:00Z",
}


def cell(type_: str, *, required: bool = True, spec: Mapping[str, Any] | None = None) -> Json:
    """Describe one value of a column.

    Parameters
    ----------
    type_ : str
        MLflow's name of the type; what is not known may be anything.
    required : bool
        An optional column takes null too.
    spec : mapping, optional
        The signature's entry of a nested type.

    Examples
    --------
    >>> cell("double")
    {'type': ['number', 'null']}
    """
    if type_ in _SCALARS:
        described = dict(_SCALARS[type_])
        nullable = not required or type_ in _NULL_IS_MISSING
    else:
        described, nullable = _nested(type_, spec or {}), not required
    if nullable and "type" in described:
        described["type"] = [described["type"], "null"]
    return described


def _nested(type_: str, spec: Mapping[str, Any]) -> Json:
    if type_ in ("array", "sparkml_vector"):
        return {"type": "array", "items": _inner(spec.get("items", {"type": "double"}))}
    if type_ == "map":
        return {"type": "object", "additionalProperties": _inner(spec["values"])}
    if type_ == "object":
        properties = spec["properties"]
        return {
            "type": "object",
            "properties": {name: _inner(each) for name, each in properties.items()},
            "required": [name for name, each in properties.items() if is_needed(each)],
            "additionalProperties": False,
        }
    return {}


def _inner(spec: Mapping[str, Any]) -> Json:
    return cell(spec["type"], required=spec.get("required", True), spec=spec)


def of_column(column: Column) -> Json:
    """Describe one value of a signature's column."""
    return cell(column.type, required=column.required, spec=column.spec)


def record(schema: Schema) -> Json:
    """Describe one row as an object; keys in any order, others are ignored."""
    described: Json = {"type": "object", "minProperties": 1}
    if schema.named and schema.columns:
        described["properties"] = {column.key: of_column(column) for column in schema.columns}
        described["required"] = [column.key for column in schema.columns if column.required]
    return described


def table(schema: Schema) -> Json:
    """Describe rows that come column by column."""
    properties = {c.key: {"type": "array", "items": of_column(c)} for c in schema.columns}
    needed = [column.key for column in schema.columns if column.required]
    return {"type": "object", "minProperties": 1, "properties": properties, "required": needed}


def row(schema: Schema) -> Json:
    """Describe one row as a list of values in the order of the signature."""
    cells = [of_column(column) for column in schema.columns]
    return {"type": "array", "prefixItems": cells, "minItems": len(cells), "maxItems": len(cells)}


def tensor(known: Tensor) -> Json:
    """Describe a tensor as nested lists."""
    described = _leaf(known.dtype)
    for length in reversed(known.shape):
        described = {"type": "array", "items": described, "minItems": max(length, 0)}
        if length >= 0:
            described["maxItems"] = length
    return described | {"minItems": 1}


def _leaf(dtype: str) -> Json:
    if dtype in ("str", "object") or dtype.startswith("<U"):
        return cell("string") if dtype != "object" else {}
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        within = np.iinfo(kind)
        return {"type": "integer", "minimum": int(within.min), "maximum": int(within.max)}
    named = {"b": "boolean", "M": "datetime"}.get(kind.kind, "double")
    return cell(named)


def example(columns: Sequence[Column]) -> Json | None:
    """Return one record that the typing rule takes; None where a type has no obvious value."""
    if not columns or any(column.type not in _EXAMPLES for column in columns):
        return None
    return {column.key: _EXAMPLES[column.type] for column in columns}
