"""The routes of the data plane with every status that each may answer."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from typing import Any

from shadowserve.schema.schema import Schema
from shadowserve.serving.openapi import bodies
from shadowserve.serving.openapi.values import Json
from shadowserve.settings.gate import OPEN_PATHS
from shadowserve.wire.protocols import is_inference_protocol

_SAID: Mapping[int, str] = {
    200: "The answer.",
    400: "The body is not the protocol's, or a value breaks the typing rule.",
    401: "The bearer token is missing or another.",
    403: "A page of another site may not ask.",
    405: "Another method is wanted.",
    413: "Too many bytes, rows or columns.",
    415: "Another content type, charset or content encoding is wanted.",
    421: "The Host header is no name of this server.",
    500: "The model failed on this request.",
    503: "Not ready, or too much in hand; try again.",
}
_REFUSALS = (400, 413, 415, 500, 503)
_JSON = "application/json"
_ERROR: Json = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "column", "row", "request_id"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string", "description": "Never a value of the request."},
                "column": {"type": ["string", "integer", "null"]},
                "row": {"type": ["integer", "null"], "minimum": 0},
                "request_id": {"type": "string"},
            },
        }
    },
}
_SHORT_ERROR: Json = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}},
}
_PREDICTIONS: Json = {
    "type": "object",
    "required": ["predictions"],
    "properties": {"predictions": {}},
}
_OUTPUTS: Json = {
    "type": "object",
    "required": ["model_name", "model_version", "outputs"],
    "properties": {
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "id": {"type": "string"},
        "outputs": {"type": "array", "items": {"type": "object"}},
    },
}
_READY: Json = {
    "type": "object",
    "required": ["ready"],
    "properties": {"ready": {"type": "boolean"}, "model": {"type": "string"}},
}
_ANY: Json = {"type": "object"}


def document(schema: Schema, *, model: str, version: int, guarded: bool = False) -> Json:
    """Describe the data plane of a served version.

    Parameters
    ----------
    schema : Schema
        The champion's: its columns, types and parameters become the requests' schemas.
    model : str
        Registered name, which is part of the Open Inference Protocol's paths.
    version : int
    guarded : bool
        Whether callers must bear a token.

    Returns
    -------
    dict
        An OpenAPI 3.1 document.

    Examples
    --------
    >>> schema = Schema.from_signature({"inputs": [{"name": "age", "type": "long"}]})
    >>> described = document(schema, model="films", version=3)
    >>> sorted(described["paths"]["/invocations"]["post"]["responses"])
    ['200', '400', '403', '405', '413', '415', '421', '500', '503']
    """
    package = importlib.metadata.version("shadowserve")
    described: Json = {
        "openapi": "3.1.0",
        "info": {"title": f"shadowserve {model} v{version}", "version": package},
        "paths": _paths(schema, model=model, version=version, guarded=guarded),
        "components": {
            "schemas": {"Error": _ERROR, "InferenceError": _SHORT_ERROR},
        },
    }
    if guarded:
        scheme = {"type": "http", "scheme": "bearer"}
        described["components"]["securitySchemes"] = {"token": scheme}
        described["security"] = [{"token": []}]
    return described


def _paths(schema: Schema, *, model: str, version: int, guarded: bool) -> Json:
    routes: Json = {
        "/invocations": _post(bodies.invocations(schema), _PREDICTIONS),
        "/predict": _post(bodies.predict(schema), {"description": "One answer a row."}),
        "/livez": _get(_ANY),
        "/readyz": _get(_READY, 503, refused=_READY),
        "/metrics": _get({"type": "string"}, media="text/plain"),
        "/openapi.json": _get(_ANY, 503),
        "/v2": _get(_ANY),
        "/v2/health/live": _get(_ANY),
        "/v2/health/ready": _get(_READY, 503, refused=_READY),
    }
    for name in (f"/v2/models/{model}", f"/v2/models/{model}/versions/{version}"):
        routes[name] = _get(_ANY, 503)
        routes[f"{name}/ready"] = _get(_READY, 503, refused=_READY)
        routes[f"{name}/infer"] = _post(bodies.infer(schema), _OUTPUTS)
    return {path: _finished(path, route, guarded=guarded) for path, route in routes.items()}


def _post(content: Json, answered: Json) -> Json:
    said = _answers(answered, media=_JSON) | dict.fromkeys(_REFUSALS)
    return {"post": {"requestBody": {"required": True, "content": content}, "responses": said}}


def _get(answered: Json, *statuses: int, media: str = _JSON, refused: Json | None = None) -> Json:
    said = _answers(answered, media=media) | dict.fromkeys(statuses, refused)
    return {"get": {"responses": said}}


def _answers(answered: Json, *, media: str) -> dict[Any, Any]:
    return {200: {"description": _SAID[200], "content": {media: {"schema": answered}}}}


def _finished(path: str, route: Json, *, guarded: bool) -> Json:
    """Fill in the refusals, in the form of the path's protocol."""
    form = {
        "$ref": f"#/components/schemas/{'InferenceError' if is_inference_protocol(path) else 'Error'}"
    }
    ((method, operation),) = route.items()
    said = operation["responses"] | {405: None}
    is_open = path in OPEN_PATHS
    if guarded and not is_open:
        said[401] = None
    if not is_open:
        said[403] = said[421] = None
    responses = {
        str(status): answer
        if answer and "description" in answer and "content" in answer
        else {"description": _SAID[status], "content": {_JSON: {"schema": answer or form}}}
        for status, answer in said.items()
    }
    security: Json = {"security": []} if guarded and is_open else {}
    return {method: {**operation, "responses": dict(sorted(responses.items())), **security}}
