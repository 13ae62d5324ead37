"""What the columns of a table are called that are no features, and which of them it lacks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from shadowserve.legible import quoted
from shadowserve.schema.columns import lacks
from shadowserve.schema.schema import Schema
from shadowserve.state.archive.layout import PREDICTION
from shadowserve.state.archive.table_file import TableError, TableFile

DEFAULTS = {
    "answer": (PREDICTION,),
    "label": ("label",),
    "request_id": ("request_id",),
    "time": ("arrived", "time"),
}
"""What the columns are called that are no features, unless they are named."""


@dataclass(frozen=True, slots=True)
class Names:
    """Columns that are no features; None: as `DEFAULTS` calls them, where the signature has no such column.

    Parameters
    ----------
    answer, label, request_id, time : str, optional
        The champion's recorded answer, what turned out to be true, the request's id and its arrival.
    """

    answer: str | None = None
    label: str | None = None
    request_id: str | None = None
    time: str | None = None


def roles(file: TableFile, names: Names, features: Collection[str]) -> dict[str, str]:
    """Return which column is what, by the fields of `Names`.

    Parameters
    ----------
    features : collection of str
        Columns that the signature has.

    Raises
    ------
    TableError
        If a name that was asked for is not there.
    """
    found = {}
    there = file.names if file.names is not None else _first_names(file)
    for role, usual in DEFAULTS.items():
        asked = getattr(names, role)
        if asked is not None:
            if file.names is not None and asked not in file.names:
                raise TableError(
                    f"{file.path.name} has no column {quoted(asked)}; its columns are {', '.join(file.names)}."
                )
            found[role] = asked
            continue
        own = next((name for name in usual if name in there and name not in features), None)
        if own is not None:
            found[role] = own
    return found


def _first_names(file: TableFile) -> tuple[str, ...]:
    """Return what JSON lines begin with: other lines may have others."""
    _, record = next(file.rows({}), (0, {}))
    return () if isinstance(record, TableError) else tuple(record)


def refuse_lacking(file: TableFile, schema: Schema, prefix: str) -> None:
    """Refuse a table that lacks a column as a whole, before any of it is read.

    Parameters
    ----------
    prefix : str
        Stands before a feature's name.

    Raises
    ------
    TableError
        If it does.
    """
    if file.names is None:
        return
    there = [name.removeprefix(prefix) for name in file.names if name.startswith(prefix)]
    missing = [c.key for c in schema.columns if c.required and c.key not in there]
    if missing:
        told = str(lacks(missing, n_known=len(schema.columns), given=there))
        raise TableError(f"{file.path.name}: {told.replace('Request lacks', 'it lacks', 1)}")
