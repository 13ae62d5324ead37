"""The bodies of requests: each protocol's forms, filled in with the signature's columns."""

from __future__ import annotations

from typing import Any

from shadowserve.schema.scalars import SCALARS
from shadowserve.schema.schema import Schema
from shadowserve.serving.openapi import values
from shadowserve.serving.openapi.values import Json
from shadowserve.wire.oip import metadata

_DATATYPES = ["BOOL", "BYTES", *(f"{s}INT{b}" for s in ("", "U") for b in (8, 16, 32, 64))]
_NAMES: Json = {"type": "array", "items": {"type": ["string", "integer"]}}


def invocations(schema: Schema) -> Json:
    """Describe the content of ``POST /invocations``: JSON, and CSV where the types allow it."""
    content: Json = {"application/json": _content(_forms(schema), _scoring_example(schema))}
    if takes_csv(schema):
        content["text/csv"] = {"schema": {"type": "string"}}
    return content


def predict(schema: Schema) -> Json:
    """Describe the content of ``POST /predict``."""
    shape = _object({"rows": _many(values.record(schema))}, required=["rows"])
    sent = values.example(schema.columns)
    return {"application/json": _content(shape, sent and {"rows": [sent]})}


def infer(schema: Schema) -> Json:
    """Describe the content of an inference request of the Open Inference Protocol."""
    one = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
            "datatype": {"enum": [*_DATATYPES, "FP16", "FP32", "FP64"]},
            "data": {"type": "array"},
            "parameters": {"type": "object"},
        },
        "required": ["name", "shape", "datatype", "data"],
    }
    named = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    known = {
        "id": {"type": "string"},
        "inputs": _many(one),
        "outputs": {"type": "array", "items": named},
        "parameters": _params(schema),
    }
    return {"application/json": _content(_object(known, required=["inputs"]), _tensors(schema))}


def takes_csv(schema: Schema) -> bool:
    """Tell whether the signature says enough about types for CSV, which says nothing."""
    flat = all(column.type in SCALARS for column in schema.columns)
    shallow = all(tensor.name is None and len(tensor.shape) <= 2 for tensor in schema.tensors)
    return schema.is_typed and flat and shallow


def _forms(schema: Schema) -> Json:
    """Describe one of the four keys, each a form of the same rows."""
    forms = {
        "dataframe_records": _many(values.record(schema)),
        "dataframe_split": _split(schema),
        "instances": _arrays(schema),
        "inputs": _arrays(schema),
    }
    known = {"params": _params(schema)}
    return {"oneOf": [_object({k: form} | known, required=[k]) for k, form in forms.items()]}


def _split(schema: Schema) -> Json:
    rows = {"type": "array", "items": {"type": "array"}, "minItems": 1}
    shape = {"columns": _NAMES, "data": rows, "index": {"type": "array"}}
    return _object(shape, required=["columns", "data"] if schema.named else ["data"])


def _arrays(schema: Schema) -> Json:
    """Describe ``instances`` and ``inputs``: by row, by column, or bare lists."""
    if schema.tensors:
        return _tensor_arrays(schema)
    if schema.is_open:
        return {"type": ["array", "object"]}
    forms: list[Json] = []
    if schema.named:
        forms += [_many(values.record(schema)), values.record(schema), values.table(schema)]
    if schema.takes_lists:
        forms.append(_many(values.row(schema)))
    if len(schema.columns) == 1:
        forms.append(_many(values.of_column(schema.columns[0])))
    return {"anyOf": forms}


def _tensor_arrays(schema: Schema) -> Json:
    if schema.tensors[0].name is None:
        return values.tensor(schema.tensors[0])
    named = {str(tensor.name): values.tensor(tensor) for tensor in schema.tensors}
    by_row: Json = {"type": "array", "items": {"type": "object"}, "minItems": 1}
    by_name = {"type": "object", "properties": named, "required": list(named)}
    return {"anyOf": [by_name, by_row]}


def _params(schema: Schema) -> Json:
    if not schema.params:
        return {"type": ["object", "null"]}
    known = {param.name: {"default": param.default} for param in schema.params}
    return {"type": ["object", "null"], "properties": known}


def _scoring_example(schema: Schema) -> Json | None:
    sent = values.example(schema.columns)
    return {"dataframe_records": [sent]} if sent and schema.named else None


def _tensors(schema: Schema) -> Json | None:
    """Return an inference request of one row, where every column has an obvious value."""
    sent = values.example(schema.columns)
    if sent is None or not schema.named:
        return None
    described = metadata(schema, model="", versions=[])["inputs"]
    inputs = [each | {"shape": [1], "data": [sent[each["name"]]]} for each in described]
    return {"inputs": inputs}


def _many(item: Json) -> Json:
    return {"type": "array", "items": item, "minItems": 1}


def _object(properties: Json, *, required: list[str]) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _content(shape: Json, sent: Any) -> Json:
    return {"schema": shape} | ({"example": sent} if sent else {})
