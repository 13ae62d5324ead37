"""Refusals of requests whose rows or columns differ in length or in keys, which they name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shadowserve.errors import RequestError
from shadowserve.legible import counted, quoted


def ragged(what: str, given: Mapping[str, Any]) -> RequestError:
    """Say of which columns, or inputs, the lengths differ.

    Parameters
    ----------
    what : str
        What they are called, in the plural.
    given : mapping of name to sequence
        Anything without a length is named as what it is not: a list.

    Examples
    --------
    >>> print(ragged("columns", {"age": [1, 2], "title": ["a"]}))
    The columns have differing numbers of rows: 'age' has 2 rows, 'title' has 1. Send as many values for each.
    """
    items = iter(given.items())
    first, values = next(items)
    for name, other in ((first, values), *items):
        if isinstance(other, str | bytes | Mapping) or not hasattr(other, "__len__"):
            return RequestError(
                f"The {what} are lists of one length: {quoted(name)} is no list. Send one value a row.",
                code="ragged_rows",
                column=name,
            )
        if len(other) != len(values):
            return RequestError(
                f"The {what} have differing numbers of rows: {quoted(first)} has "
                f"{counted(len(values), 'row')}, {quoted(name)} has {len(other):,}. "
                "Send as many values for each.",
                code="ragged_rows",
                column=name,
                row=min(len(values), len(other)),
            )
    return RequestError(f"The {what} do not fit together.", code="ragged_rows")


def other_keys(record: Mapping[str, Any], first: Mapping[str, Any], *, row: int) -> RequestError:
    """Say by which key a row differs from the first, where no signature can fill in.

    Examples
    --------
    >>> print(other_keys({"b": 1}, {"a": 1}, row=2))
    Row 2 has other keys than row 0: it lacks 'a'. Send the same keys in every row, null for what is missing.
    """
    lacking = next((key for key in first if key not in record), None)
    strange = next((key for key in record if key not in first), None)
    column = strange if lacking is None else lacking
    what = (
        f"{quoted(strange)} is not in row 0" if lacking is None else f"it lacks {quoted(lacking)}"
    )
    return RequestError(
        f"Row {row} has other keys than row 0: {what}. "
        "Send the same keys in every row, null for what is missing.",
        code="ragged_rows",
        column=column,
        row=row,
    )
