"""The Open Inference Protocol, version 2: its routes, metadata and place in the OpenAPI document.

`oip` reads and writes the tensors. Everything below ``/v2`` is the protocol's, known or not.
"""

from __future__ import annotations

import importlib.metadata
from itertools import chain

from shadowserve.schema import json_schema
from shadowserve.schema.json_schema import Json
from shadowserve.schema.schema import Schema
from shadowserve.wire import oip
from shadowserve.wire.answers import dumps
from shadowserve.wire.media import read_json
from shadowserve.wire.openapi import closed, content, many, params
from shadowserve.wire.outputs import datatype_of
from shadowserve.wire.protocol import Protocol, Purpose, Route
from shadowserve.wire.refusals import TEXT

_DATATYPES = ["BOOL", "BYTES", *(f"{s}INT{b}" for s in ("", "U") for b in (8, 16, 32, 64))]
_OF_COLUMN = {
    "boolean": "BOOL",
    "integer": "INT32",
    "long": "INT64",
    "float": "FP32",
    "double": "FP64",
}


def server_metadata(_schema: Schema, _model: str, _version: int) -> bytes:
    """Describe the server."""
    version = importlib.metadata.version("shadowserve")
    return dumps({"name": "shadowserve", "version": version, "extensions": []})


def model_metadata(schema: Schema, model: str, version: int) -> bytes:
    """Describe the served version: names, datatypes and shapes of what it takes."""
    return dumps(
        {
            "name": model,
            "versions": [str(version)],
            "platform": "mlflow_pyfunc",
            "inputs": _inputs(schema),
            "outputs": [],
        }
    )


def _inputs(schema: Schema) -> list[Json]:
    """Describe the inputs; text, moments and, as JSON text, nested values are BYTES."""
    columns = [
        {"name": c.key, "datatype": _OF_COLUMN.get(c.type, "BYTES"), "shape": [-1]}
        for c in schema.columns
    ]
    tensors = [
        {"name": t.name or "inputs", "datatype": datatype_of(t.dtype), "shape": list(t.shape)}
        for t in schema.tensors
    ]
    return columns + tensors


def _described(schema: Schema) -> Json:
    one = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "shape": many({"type": "integer", "minimum": 0}),
            "datatype": {"enum": [*_DATATYPES, "FP16", "FP32", "FP64"]},
            "data": {"type": "array"},
            "parameters": {"type": "object"},
        },
        "required": ["name", "shape", "datatype", "data"],
    }
    named = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    known = {
        "id": {"type": "string"},
        "inputs": many(one),
        "outputs": {"type": "array", "items": named},
        "parameters": params(schema),
    }
    return {"application/json": content(closed(known, required=["inputs"]), _example(schema))}


def _example(schema: Schema) -> Json | None:
    """Return a request of one row, where every column has an obvious value."""
    sent = json_schema.example(schema.columns)
    if sent is None or not schema.named:
        return None
    inputs = [each | {"shape": [1], "data": [sent[each["name"]]]} for each in _inputs(schema)]
    return {"inputs": inputs}


def _of_model(model: str) -> tuple[Route, ...]:
    return (
        Route(model, Purpose.TELL, model_metadata),
        Route(f"{model}/ready", Purpose.READY),
        Route(f"{model}/infer", Purpose.SCORE),
    )


_MODEL = "/v2/models/{model}"

PROTOCOL = Protocol(
    name="infer",
    prefix="/v2",
    routes=(
        Route("/v2", Purpose.TELL, server_metadata),
        Route("/v2/health/live", Purpose.LIVE),
        Route("/v2/health/ready", Purpose.READY),
        *chain.from_iterable(map(_of_model, (_MODEL, f"{_MODEL}/versions/{{version}}"))),
    ),
    read_body=read_json,
    type=oip.type_request,
    encode=oip.answer,
    read=oip.read_answer,
    answered_with='a JSON object with "outputs"',
    described=_described,
    answers={
        "type": "object",
        "required": ["model_name", "model_version", "outputs"],
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "outputs": {"type": "array", "items": {"type": "object"}},
        },
    },
    refusals=TEXT,
    names_version=True,
)
