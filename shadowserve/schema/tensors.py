"""Tensor signatures: nested JSON arrays in, one array of the declared dtype and shape out.

The leaves obey the typing rule of the column type nearest to the dtype. Nothing is broadcast,
padded or reshaped: another number of features is a refusal with both numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Self

import numpy as np

from shadowserve.errors import ModelError, RequestError
from shadowserve.schema.casting import Rule, cast, fast_integers, rule_for
from shadowserve.schema.scalars import EXACT, Refusal, kind_of

_COLUMN_TYPE = {"float32": "float", "float64": "double", "bool": "boolean", "int32": "integer"}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a signature.

    Parameters
    ----------
    name : str or None
        None for a model that takes a single unnamed array.
    dtype : str
        Numpy's name.
    shape : tuple of int
        -1 where the signature leaves the length open; the first is the number of rows.

    Raises
    ------
    ModelError
        For a dtype that cannot come as JSON, such as complex128.
    """

    name: str | None
    dtype: str
    shape: tuple[int, ...]
    _rule: Rule = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rule", _rule(self.dtype))

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Self:
        """Read one entry of a signature's inputs."""
        inner = spec["tensor-spec"]
        return cls(name=spec.get("name"), dtype=inner["dtype"], shape=tuple(inner["shape"]))

    def type(self, values: Any) -> np.ndarray:
        """Type nested lists.

        Parameters
        ----------
        values : nested lists of JSON values
            As deep as the shape.

        Returns
        -------
        ndarray of `shape`, of `dtype`; text is object, as its width would depend on the batch

        Raises
        ------
        RequestError
            ``wrong_shape`` with expected and given length, or ``wrong_type``.

        Examples
        --------
        >>> Tensor(None, "float64", (-1, 2)).type([[1, 2], [3, 4.5]])
        array([[1. , 2. ],
               [3. , 4.5]])
        """
        leaves, shape = _flatten(values, self)
        try:
            typed = cast(self._rule, leaves, column=self._label)
        except RequestError as error:
            raise self._by_row(error, leaves, shape) from None
        return typed.reshape(shape)

    @property
    def _label(self) -> str:
        return self.name if self.name is not None else "inputs"

    def _by_row(self, error: RequestError, leaves: Sequence[Any], shape: list[int]) -> RequestError:
        """Name the row, where the cast counted leaves."""
        # Leaves lie row by row, as many in each.
        row = (error.row or 0) * shape[0] // max(len(leaves), 1)
        message = str(error).replace(f"row {error.row}:", f"row {row}:", 1)
        return RequestError(message, code=error.code, column=self.name, row=row)


def _flatten(values: Any, tensor: Tensor) -> tuple[Sequence[Any], list[int]]:
    if type(values) is not list:
        raise _wrong_shape(tensor, f"an array of {len(tensor.shape)} dimensions", kind_of(values))
    shape, leaves = [len(values)], values
    for axis, expected in enumerate(tensor.shape):
        if expected >= 0 and shape[axis] != expected:
            what = "features" if axis == 1 else "values"
            raise _wrong_shape(tensor, f"{expected} {what}", str(shape[axis]))
        if axis + 1 == len(tensor.shape):
            break
        if any(type(each) is not list for each in leaves):
            raise _wrong_shape(tensor, f"{len(tensor.shape)} dimensions", f"fewer ({axis + 1})")
        widths = {len(each) for each in leaves}
        if len(widths) != 1:
            raise _wrong_shape(tensor, "rows of one length", f"{len(widths)} lengths")
        shape.append(widths.pop())
        leaves = list(chain.from_iterable(leaves))
    return leaves, shape


def _wrong_shape(tensor: Tensor, expected: str, given: str) -> RequestError:
    name = "The input" if tensor.name is None else f"The input {tensor.name!r}"
    return RequestError(
        f"{name} of shape {tensor.shape} expected {expected}, {given} came.",
        code="wrong_shape",
        column=tensor.name,
    )


def _rule(dtype: str) -> Rule:
    if dtype in _COLUMN_TYPE:
        return rule_for(_COLUMN_TYPE[dtype])
    if dtype in ("str", "object") or dtype.startswith("<U"):
        return _objects(dtype)
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        return _integers(kind)
    if kind.kind == "f":
        return _floats(kind)
    if kind.kind == "M":
        return rule_for("datetime")
    raise ModelError(f"The signature has a tensor of dtype {dtype!r}, which cannot come as JSON.")


def _objects(dtype: str) -> Rule:
    if dtype == "object":
        return Rule("object", np.dtype(object), lambda value: value, lambda _: None)
    return rule_for("string")


def _floats(kind: np.dtype[Any]) -> Rule:
    single, limit = rule_for("float"), float(np.finfo(kind).max)

    def one(value: Any) -> Any:
        number = single.one(value)
        if abs(number) > limit:
            raise Refusal(f"a number within {kind}", received="a number out of its range")
        return number

    return Rule(str(kind), kind, one, lambda _: None)


def _integers(kind: np.dtype[Any]) -> Rule:
    low, high = int(np.iinfo(kind).min), int(np.iinfo(kind).max)
    expected = f"a whole number within {kind}"

    def one(value: Any) -> int:
        if type(value) is float and value % 1 == 0 and abs(value) < EXACT:
            value = int(value)
        if type(value) is not int:
            raise Refusal(expected, received=kind_of(value))
        if not low <= value <= high:
            raise Refusal(expected, received="a number out of its range")
        return value

    return Rule(str(kind), kind, one, fast_integers(kind))
