"""A field of an answer: of a record by its name, of several outputs by its position."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any


def field_of(side: Sequence[Any], name: str) -> list[Any]:
    """Return one field of all rows of one side; null where a row has none."""
    return [_field(row, name) for row in side]


def without(value: Any, names: Collection[str]) -> Any:
    """Return a JSON value whose rows lack some fields; what is no record stays as it is.

    Examples
    --------
    >>> without([{"id": 7, "score": 0.3}, None], {"id"})
    [{'score': 0.3}, None]
    """
    if not names:
        return value
    if isinstance(value, list):
        return [without(row, names) for row in value]
    if isinstance(value, dict):
        return {name: part for name, part in value.items() if name not in names}
    return value


def _field(row: Any, name: str) -> Any:
    if isinstance(row, dict):
        return row.get(name)
    place = int(name) if name.isdecimal() else -1
    return row[place] if isinstance(row, list) and 0 <= place < len(row) else None
