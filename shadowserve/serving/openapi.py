"""The OpenAPI document of the data plane, made from the model's signature and the table of protocols.

The typing rule in the form that clients' generators and fuzzers read: a column's type becomes a JSON
Schema, and every route says each status that it may answer.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from shadowserve.schema.json_schema import Json
from shadowserve.schema.schema import Schema
from shadowserve.wire.protocol import Protocol, Purpose, Route
from shadowserve.wire.protocols import OWN_ROUTES, form_at, protocols
from shadowserve.wire.refusals import OBJECT

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
_READY: Json = {
    "type": "object",
    "required": ["ready"],
    "properties": {"ready": {"type": "boolean"}, "model": {"type": "string"}},
}


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
    known = protocols(model, version).values()
    forms = [OBJECT, *(each.refusals for each in known)]
    described: Json = {
        "openapi": "3.1.0",
        "info": {"title": f"shadowserve {model} v{version}", "version": package},
        "paths": {
            route.of(model, version): _finished(route, operation, guarded=guarded)
            for route, operation in _operations(known, schema)
        },
        "components": {"schemas": {form.name: form.shape for form in forms}},
    }
    if guarded:
        scheme = {"type": "http", "scheme": "bearer"}
        described["components"]["securitySchemes"] = {"token": scheme}
        described["security"] = [{"token": []}]
    return described


def _operations(known: Iterable[Protocol], schema: Schema) -> Iterator[tuple[Route, Json]]:
    """Yield each route that is told of and what it does, the server's own first."""
    for route in OWN_ROUTES:
        yield route, _get(route)
    for protocol in known:
        for route in protocol.routes:
            if route.documented:
                scores = route.purpose is Purpose.SCORE
                yield route, _post(protocol, schema) if scores else _get(route)


def _post(protocol: Protocol, schema: Schema) -> Json:
    content = protocol.described(schema)
    said = _answers(protocol.answers, _JSON) | dict.fromkeys(_REFUSALS)
    return {"post": {"requestBody": {"required": True, "content": content}, "responses": said}}


def _get(route: Route) -> Json:
    return {"get": {"responses": _told(route)}}


def _told(route: Route) -> dict[Any, Any]:
    """Describe what a route tells, and that it may not be ready for it."""
    if route.purpose is Purpose.READY:
        return _answers(_READY, route.media) | {503: _READY}
    answered: Json = {"type": "string"} if route.media == "text/plain" else {"type": "object"}
    waits = route.names_model or route.purpose is Purpose.DOCUMENT
    return _answers(answered, route.media) | ({503: None} if waits else {})


def _answers(answered: Json, media: str) -> dict[Any, Any]:
    return {200: {"description": _SAID[200], "content": {media: {"schema": answered}}}}


def _finished(route: Route, operation: Json, *, guarded: bool) -> Json:
    """Fill in the refusals, in the form of the path's protocol."""
    form = {"$ref": f"#/components/schemas/{form_at(route.path).name}"}
    ((method, described),) = operation.items()
    said = described["responses"] | {405: None}
    if guarded and not route.is_probe:
        said[401] = None
    if not route.is_probe:
        # The gate stands before every route but the probes.
        said[403] = said[421] = None
    responses = {
        str(status): answer
        if answer and "description" in answer and "content" in answer
        else {"description": _SAID[status], "content": {_JSON: {"schema": answer or form}}}
        for status, answer in said.items()
    }
    # A probe needs no token, so what the document demands of all is lifted.
    security: Json = {"security": []} if guarded and route.is_probe else {}
    return {method: {**described, "responses": dict(sorted(responses.items())), **security}}
