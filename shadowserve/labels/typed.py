"""What a label must be: of the type that the champion answers, since it is compared with that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from math import isfinite
from typing import Any

from shadowserve.labels.reading import Text


class Expected(StrEnum):
    """The type of a label."""

    NUMBER = "number"
    FLAG = "boolean"
    TEXT = "text"
    ANY = "anything"


_SIGNATURE = {
    "integer": Expected.NUMBER, "long": Expected.NUMBER, "float": Expected.NUMBER,
    "double": Expected.NUMBER, "boolean": Expected.FLAG, "string": Expected.TEXT,
}  # fmt: skip


def expected(answers: Iterable[Any], signature: Mapping[str, Any] | None) -> Expected:
    """Say what labels must be.

    Parameters
    ----------
    answers : iterable of JSON values
        Some of the champion's answers, one a row, or class labels where probabilities are served;
        they decide.
    signature : mapping, optional
        The champion's; its one output decides where there are no answers yet.
    """
    flat = [item for answer in answers for item in _items(answer) if item is not None]
    if flat:
        types = {_type_of(item) for item in flat}
        return types.pop() if len(types) == 1 else Expected.ANY
    outputs = (signature or {}).get("outputs") or []
    named = str(outputs[0].get("type")) if len(outputs) == 1 else ""
    return _SIGNATURE.get(named, Expected.ANY)


def typed(label: Any, wanted: Expected) -> Any:
    """Return a label as a JSON value of the type wanted; a list is typed item by item.

    Raises
    ------
    ValueError
        With what was expected and what type came; never the value.

    Examples
    --------
    >>> typed(Text("1"), Expected.NUMBER), typed([1, 0], Expected.NUMBER)
    (1, [1, 0])
    """
    if isinstance(label, Text):
        label = _spelled(label, wanted)
    if isinstance(label, list):
        return [typed(item, wanted) for item in label]
    if label is None or label == "" or (isinstance(label, float) and not isfinite(label)):
        raise ValueError("the label is missing")
    if not isinstance(label, bool | int | float | str):
        raise ValueError(strange(label))
    if wanted not in (Expected.ANY, _type_of(label)):
        raise ValueError(f"a {wanted} is expected, a {_type_of(label)} came")
    return label


def _spelled(label: Text, wanted: Expected) -> Any:
    if wanted is Expected.TEXT:
        return str(label)
    if wanted is Expected.FLAG:
        return {"true": True, "false": False, "1": True, "0": False}.get(label.lower(), str(label))
    return label.scalar()


def strange(label: Any) -> str:
    """Say that something is no label, by its type; of a list by its first item that is none."""
    while isinstance(label, list):
        label = next(
            (item for item in label if not isinstance(item, bool | int | float | str)), None
        )
    return f"a label is a number, a text or a list, {_named(label)} came"


def _items(answer: Any) -> Sequence[Any]:
    return answer if isinstance(answer, list) else [answer]


def _type_of(item: Any) -> Expected:
    if isinstance(item, bool):
        return Expected.FLAG
    if isinstance(item, int | float):
        return Expected.NUMBER
    return Expected.TEXT if isinstance(item, str) else Expected.ANY


def _named(value: Any) -> str:
    return "an object" if isinstance(value, dict) else type(value).__name__
