"""The typing rule: JSON values of one column in, one array out, or a refusal that names the row.

Every protocol ends here, so a value has one meaning whichever way it came. A rule depends on the
column's type and on whether it is required, never on the other values of the batch. What one value
means is `scalars`' business; here are the dtypes, the short cuts for many values, and the refusals.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shadowserve.errors import RequestError
from shadowserve.legible import quoted
from shadowserve.schema.scalars import EXACT, INT_BITS, Refusal, scalar

_NUMBERS: frozenset[type] = frozenset({int, float, type(None)})
_BOOLS: frozenset[type] = frozenset({bool, type(None)})
_AS_OBJECTS = frozenset({"text", "category"})


@dataclass(frozen=True, slots=True)
class Rule:
    """How the values of one type become an array.

    Parameters
    ----------
    type : str
        MLflow's name of the type.
    dtype : dtype
        Of the array; the same for every batch.
    one : callable
        The truth: one JSON value to one typed value, or `Refusal`.
    fast : callable
        Many values at once where no value needs a look of its own, else None.
    """

    type: str
    dtype: np.dtype[Any]
    one: Callable[[Any], Any]
    fast: Callable[[Sequence[Any]], np.ndarray | None]


def cast(rule: Rule, values: Sequence[Any], *, column: object) -> np.ndarray:
    """Type the values of one column.

    Parameters
    ----------
    rule : Rule
        From `rule_for`, or a nested type's.
    values : sequence of JSON values
        One for each row.
    column : str or int
        For the refusal.

    Returns
    -------
    ndarray of shape (n_rows,), of `rule.dtype`

    Raises
    ------
    RequestError
        ``wrong_type``, naming column, row and kinds, never the value.

    Examples
    --------
    >>> cast(rule_for("long"), [41, 42.0], column="age")
    array([41, 42])
    """
    typed = rule.fast(values)
    if typed is not None:
        return typed
    return _one_by_one(rule, values, column=column)


def _one_by_one(rule: Rule, values: Sequence[Any], *, column: object) -> np.ndarray:
    typed = np.empty(len(values), dtype=rule.dtype)
    one = rule.one
    for row, value in enumerate(values):
        try:
            typed[row] = one(value)
        except Refusal as refusal:
            raise _wrong_type(rule, refusal, column=column, row=row) from None
    return typed


def _wrong_type(rule: Rule, refusal: Refusal, *, column: object, row: int) -> RequestError:
    within = f" at {refusal.path}" if refusal.path else ""
    return RequestError(
        f"Column {quoted(column)}, row {row}{within}: {refusal.expected} is expected ({rule.type}), "
        f"{refusal.received} came.{_advice(rule.type, refusal)}",
        code="wrong_type",
        column=column,
        row=row,
    )


def _advice(type_: str, refusal: Refusal) -> str:
    """Say what to do about a value that is missing where none may be."""
    if refusal.received != "null" or refusal.path:
        return ""
    other = ", or as double" if type_ in INT_BITS else ""
    return f" Send a value (NaN counts as null), or log the model with this column optional (required=False{other})."


def rule_for(type_: str, *, required: bool = True) -> Rule:
    """Return the rule of a scalar type.

    Parameters
    ----------
    type_ : str
        One of `SCALARS`.
    required : bool
        An optional column takes null, whatever its type. Its dtype can hold that: float64 for whole
        numbers (exact to 2**53), object for booleans.
    """
    one = scalar(type_, required=required)
    if type_ == "boolean":
        return _booleans(one, required=required)
    if type_ in INT_BITS:
        return _whole_numbers(type_, one, required=required)
    if type_ == "double":
        return Rule(type_, np.dtype(np.float64), one, _fast_double)
    if type_ == "float":
        return Rule(type_, np.dtype(np.float32), one, _fast_float)
    if type_ == "string":
        return Rule(type_, np.dtype(object), one, _fast_string)
    if type_ == "datetime":
        return Rule(type_, np.dtype("datetime64[ns]"), one, lambda _: None)
    return Rule(type_, np.dtype(object), one, lambda _: None)


def _booleans(one: Callable[[Any], Any], *, required: bool) -> Rule:
    # NumPy's booleans have no null, and NaN among them would turn them into numbers.
    dtype: np.dtype[Any] = np.dtype(bool) if required else np.dtype(object)
    plain = frozenset({bool}) if required else _BOOLS

    def fast(values: Sequence[Any]) -> np.ndarray | None:
        return np.array(values, dtype=dtype) if plain.issuperset(map(type, values)) else None

    return Rule("boolean", dtype, one, fast)


def _whole_numbers(type_: str, one: Callable[[Any], Any], *, required: bool) -> Rule:
    if not required:
        # float64 for every batch, even one without a null: a row's dtype must not hang on its neighbours.
        return Rule(type_, np.dtype(np.float64), one, lambda _: None)
    dtype = np.dtype(np.int32 if type_ == "integer" else np.int64)
    return Rule(type_, dtype, one, fast_integers(dtype))


def fast_integers(dtype: np.dtype[Any]) -> Callable[[Sequence[Any]], np.ndarray | None]:
    """Return what types whole numbers all at once; None of it where one is no such, or too large."""

    def fast(values: Sequence[Any]) -> np.ndarray | None:
        # By exact type: a boolean passes for an int, and NumPy would take it for 0 or 1.
        if set(map(type, values)) != {int}:
            return None
        try:
            return np.array(values, dtype=dtype)
        except OverflowError:
            return None

    return fast


def _fast_double(values: Sequence[Any]) -> np.ndarray | None:
    kinds = set(map(type, values))
    if kinds == {float}:
        return np.array(values, dtype=np.float64)
    if not kinds <= _NUMBERS:
        return None
    # A larger whole number may be one that float64 cannot hold: each is looked at by itself.
    if any(type(v) is int and not -EXACT <= v <= EXACT for v in values):
        return None
    return np.array(values, dtype=np.float64)


def _fast_float(values: Sequence[Any]) -> np.ndarray | None:
    if not set(map(type, values)) <= _NUMBERS:
        return None
    with np.errstate(over="ignore"):
        try:
            typed = np.array(values, dtype=np.float32)
        except OverflowError:
            return None
    return None if np.isinf(typed).any() else typed


def _fast_string(values: Sequence[Any]) -> np.ndarray | None:
    return np.array(values, dtype=object) if set(map(type, values)) == {str} else None


def infer(values: Sequence[Any], *, column: object, kind: str | None = None) -> np.ndarray:
    """Type a column that no signature describes, by its kind, else by the kinds of its own values.

    Strings stay strings, numbers become float64, booleans stay booleans, null is NaN. Where kinds
    are mixed or nested the column is object. A row's values are the same alone and in company. Its
    dtype is so where the kind is known; elsewhere it is not, and such requests share no batch.

    Parameters
    ----------
    kind : {"text", "number", "category"}, optional
        What the model was fitted on. Among numbers a boolean is one; whole numbers stay whole in a
        category; a value of another kind than the model's comes as it is.

    Returns
    -------
    ndarray of shape (n_rows,): float64, bool or object
    """
    kinds = set(map(type, values))
    if kind == "number" and bool in kinds and kinds <= _NUMBERS | _BOOLS:
        values, kinds = [float(v) if type(v) is bool else v for v in values], {float}
    if kinds <= _NUMBERS and kind not in _AS_OBJECTS:
        typed = _fast_double(values)
        return typed if typed is not None else cast(rule_for("double"), values, column=column)
    if kinds == {bool} and kind not in _AS_OBJECTS:
        return np.array(values, dtype=bool)
    typed = np.empty(len(values), dtype=object)
    # Filled afterwards: NumPy would make a second dimension of lists of one length.
    typed[:] = list(values) if kind == "category" else [_untyped(value) for value in values]
    return typed


def _untyped(value: Any) -> Any:
    if value is None:
        return math.nan
    return float(value) if type(value) is int else value
