"""MLflow's nested types, Array, Object, Map and Any: kept as Python values, their shape checked.

The leaves obey the same rule as a column of their type. A whole number for a string is refused
three levels down as it is at the top.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from shadowserve.errors import ModelError
from shadowserve.schema.casting import Rule
from shadowserve.schema.scalars import SCALARS, Refusal, kind_of, scalar

Reader = Callable[[Any], Any]


def nested_rule(spec: Mapping[str, Any], *, required: bool) -> Rule:
    """Return the rule of a nested column.

    Parameters
    ----------
    spec : mapping
        The column as MLflow's signature writes it: ``type`` with ``items``, ``properties`` or
        ``values``.
    required : bool
        An optional column takes null, which stays None.

    Returns
    -------
    Rule
        Of dtype object: lists, dicts and scalars as JSON has them.
    """
    return Rule(
        spec["type"], np.dtype(object), nested_reader(spec, required=required), lambda _: None
    )


def nested_reader(spec: Mapping[str, Any], *, required: bool) -> Reader:
    """Return the function that reads one value of any type, nested or scalar, or refuses it.

    Raises
    ------
    ModelError
        For a type that this version does not know.
    """
    kind = spec["type"]
    if kind == "any":
        return lambda value: value
    if kind in ("array", "sparkml_vector"):
        strict = _array(_inner_reader(spec.get("items", {"type": "double"})))
    elif kind == "object":
        strict = _object(spec["properties"])
    elif kind == "map":
        strict = _map(_inner_reader(spec["values"]))
    elif kind in SCALARS:
        return _leaf(kind, required=required)
    else:
        raise ModelError(f"The signature has a type that this version does not know: {kind!r}.")
    return strict if required else lambda value: None if value is None else strict(value)


def _inner_reader(spec: Mapping[str, Any]) -> Reader:
    return nested_reader(spec, required=spec.get("required", True))


def _leaf(kind: str, *, required: bool) -> Reader:
    one = scalar(kind)
    if required and kind != "datetime":
        return one
    if required:
        # Within lists and dicts no dtype says that a number is a moment.
        return lambda value: pd.Timestamp(one(value))
    whole = _leaf(kind, required=True)
    return lambda value: None if value is None else whole(value)


def _within(reader: Reader, value: Any, *, step: str) -> Any:
    try:
        return reader(value)
    except Refusal as refusal:
        # Each level on the way out adds its step in front.
        refusal.path = step + refusal.path
        raise


def _array(item: Reader) -> Reader:
    def read(value: Any) -> list[Any]:
        if type(value) is not list:
            raise Refusal("an array", received=kind_of(value))
        return [_within(item, each, step=f"[{place}]") for place, each in enumerate(value)]

    return read


def _map(item: Reader) -> Reader:
    def read(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise Refusal("an object", received=kind_of(value))
        return {key: _within(item, each, step=".*") for key, each in value.items()}

    return read


def is_needed(spec: Mapping[str, Any]) -> bool:
    """Whether an object must have a property: not if it is optional or may have a default."""
    return bool(spec.get("required", True)) and not spec.get("may_be_absent", False)


def _object(properties: Mapping[str, Mapping[str, Any]]) -> Reader:
    needed = {name: is_needed(spec) for name, spec in properties.items()}
    readers = {name: _inner_reader(spec) for name, spec in properties.items()}

    def read(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise Refusal("an object", received=kind_of(value))
        # MLflow refuses these, too: a misspelt property would pass for an absent one.
        if not value.keys() <= readers.keys():
            raise Refusal(
                f"an object with no other properties than {', '.join(readers)}",
                received="one with a property that is not known",
            )
        for name, asked_for in needed.items():
            if asked_for and name not in value:
                raise Refusal(f"the property {name!r}", received="an object without it")
        return {key: _within(readers[key], each, step=f".{key}") for key, each in value.items()}

    return read
