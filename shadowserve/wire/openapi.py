"""Parts of an OpenAPI document that several protocols' requests have in common."""

from __future__ import annotations

from typing import Any

from shadowserve.schema.json_schema import Json
from shadowserve.schema.schema import Schema


def many(item: Json) -> Json:
    """Describe a list of at least one item."""
    return {"type": "array", "items": item, "minItems": 1}


def closed(properties: Json, *, required: list[str]) -> Json:
    """Describe an object that has no other keys."""
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def params(schema: Schema) -> Json:
    """Describe a model's inference parameters, with their defaults."""
    if not schema.params:
        return {"type": ["object", "null"]}
    known = {param.name: {"default": param.default} for param in schema.params}
    return {"type": ["object", "null"], "properties": known}


def content(shape: Json, sent: Any) -> Json:
    """Describe one media type's content, with an example where there is one."""
    return {"schema": shape} | ({"example": sent} if sent else {})
