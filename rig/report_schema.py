"""The published schema of reports, and what a report lacks by it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

SCHEMA = json.loads((Path(__file__).parents[1] / "docs/report.schema.json").read_text())
OPEN = {"disagreement", "divergence"}  # each kind of output adds figures of its own


def faults(told: dict[str, Any], schema: dict[str, Any] = SCHEMA) -> list[str]:
    found = Draft202012Validator(schema).iter_errors(told)
    return [f"{'/'.join(map(str, fault.path))}: {fault.message}" for fault in found]


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, but refusing keys that it does not describe."""
    strict = copy.deepcopy(schema)
    for name, part in _objects(strict, "report"):
        if name not in OPEN:
            part.setdefault("additionalProperties", False)
    return strict


def _objects(schema: Any, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        if "properties" in schema:
            yield name, schema
        for key, part in schema.items():
            yield from _objects(part, key)
    if isinstance(schema, list):
        for part in schema:
            yield from _objects(part, name)
