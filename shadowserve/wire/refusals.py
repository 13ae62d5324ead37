"""The forms of refusals: how each protocol writes an error for its clients.

No form holds a value of the request. All are written here, whoever refuses: a worker, the
supervisor in its place, or the console.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shadowserve.errors import RequestError
from shadowserve.schema.json_schema import Json
from shadowserve.wire.answers import dumps


@dataclass(frozen=True, slots=True)
class RefusalForm:
    """One form of a refusal's body.

    Code, message and request id are the same in all; only where they stand differs.

    Parameters
    ----------
    name : str
        As the OpenAPI document calls it.
    write, shape : callable, dict
        An error and the request's id to bytes, and the bytes' JSON Schema. They stand together, since
        a client is made from one and reads the other.
    """

    name: str
    write: Callable[[RequestError, str], bytes]
    shape: Json


def whole(error: RequestError, request_id: str) -> bytes:
    """Encode a refusal with the place that it is about.

    Examples
    --------
    >>> whole(RequestError("No rows.", code="empty"), "r1")
    b'{"error":{"code":"empty","message":"No rows.","column":null,"row":null,"request_id":"r1"}}'
    """
    column = error.column
    name = column if column is None or isinstance(column, (str, int)) else str(column)
    told = {"code": error.code, "message": str(error), "column": name, "row": error.row}
    return dumps({"error": told | {"request_id": request_id}})


def brief(error: RequestError, **more: Any) -> bytes:
    """Encode a refusal of the console: code, message, and what else is known.

    Examples
    --------
    >>> brief(RequestError("No such route.", code="not_found"), faults=[])
    b'{"error":{"code":"not_found","message":"No such route.","faults":[]}}'
    """
    return dumps({"error": {"code": error.code, "message": str(error), **more}})


def _text(error: RequestError, _request_id: str) -> bytes:
    return dumps({"error": str(error)})


OBJECT = RefusalForm(
    "Error",
    whole,
    {
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
    },
)
"""The contract's own form, and that of every path that belongs to no protocol."""

TEXT = RefusalForm(
    "InferenceError",
    _text,
    {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}},
)
"""The Open Inference Protocol's form, which has no place for an id."""
