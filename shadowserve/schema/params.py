"""Inference parameters of MLflow's protocol, typed by the signature like everything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shadowserve.errors import RequestError
from shadowserve.schema.nested import Reader, nested_reader
from shadowserve.schema.scalars import SCALARS, Refusal, kind_of


@dataclass(frozen=True, slots=True)
class Param:
    """One inference parameter.

    Parameters
    ----------
    name : str
    read : callable
        From a JSON value to the typed one, or `Refusal`.
    default : object
        Used where a request does not give it, as the signature has it.
    spec : mapping, optional
        The signature's own entry.
    """

    name: str
    read: Reader = field(compare=False, repr=False)
    default: Any = None
    spec: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Param:
        """Read the entry of a signature: name, type, default, and shape ``[-1]`` for a list."""
        kind = "double" if spec["type"] == "float" else spec["type"]  # Python has one float
        inner = {"type": kind, "properties": spec.get("properties", {})}
        typed = {"type": "array", "items": inner} if spec.get("shape") else inner
        nested = typed["type"] not in SCALARS  # null is a scalar, as MLflow has it, and no list
        return cls(spec["name"], nested_reader(typed, required=nested), spec.get("default"), spec)


def type_params(known: Sequence[Param], given: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Type a request's parameters.

    Parameters
    ----------
    known : sequence of Param
        Where it is empty, whatever came is ignored, as MLflow does.
    given : object
        The request's ``params``; None where it has none.

    Returns
    -------
    typed : dict
        Every known parameter, with its default where none came.
    ignored : tuple of str
        Names that the signature does not know, as ``params.<name>``.

    Raises
    ------
    RequestError
        ``wrong_param``, naming the parameter and the kinds.
    """
    if given is None:
        given = {}
    if type(given) is not dict:
        raise RequestError(
            f"params is an object of names and values, {kind_of(given)} came.", code="wrong_param"
        )
    typed = {param.name: _one(param, given) for param in known}
    return typed, tuple(f"params.{name}" for name in given if name not in typed)


def _one(param: Param, given: Mapping[str, Any]) -> Any:
    if param.name not in given:
        return param.default
    try:
        return param.read(given[param.name])
    except Refusal as refusal:
        raise RequestError(
            f"Parameter {param.name!r}: {refusal.expected} is expected, {refusal.received} came.",
            code="wrong_param",
            column=param.name,
        ) from None
