"""What a request brought, as far as the team lets values be seen: a column at a time, the others by name alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from shadowserve.legible import legible
from shadowserve.schema.disclosure import Disclosure, Rule
from shadowserve.wire.infer import PROTOCOL as INFER

LONGEST_VALUE = 2_000
MOST_ROWS = 20
_WRAPPED = ("dataframe_records", "instances", "inputs", "rows")


def shown(
    body: bytes, disclosure: Disclosure, *, protocol: str, everything: bool = False
) -> dict[str, Any] | None:
    """Return a request's inputs by column; None where the body is no JSON with named columns.

    Parameters
    ----------
    body : bytes
    disclosure : Disclosure
    protocol : str
        What the body was read by: what looks alike in two protocols names its columns at another place.
    everything : bool
        For who reads the journal on its own host and has asked for it: values of all columns.

    Returns
    -------
    dict or None
        For each column a list with a text for each of the first `MOST_ROWS` rows, bounded; None for a
        column whose values may not be seen. A dropped column is left out.
    """
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    columns: dict[str, list[Any] | None] = {}
    for row in _tensors(told) if protocol == INFER.name else _rows(told):
        for name, value in row.items():
            rule = Rule.SHOWN if everything else disclosure.rule(name)
            if rule is Rule.SHOWN:
                own = columns.setdefault(name, [])
                if own is not None and len(own) < MOST_ROWS:
                    own.append(legible(_text(value), most=LONGEST_VALUE))
            elif rule is not Rule.DROPPED:
                columns[name] = None
    return columns or None


def _tensors(told: Any) -> Iterator[Mapping[str, Any]]:
    """Yield each tensor's data by its own name."""
    tensors = told.get("inputs") if isinstance(told, dict) else None
    for one in tensors if isinstance(tensors, list) else ():
        if isinstance(one, dict) and isinstance(one.get("name"), str) and "data" in one:
            yield from _by_column({one["name"]: one["data"]})


def _rows(told: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of MLflow's forms and of our own."""
    if not isinstance(told, dict):
        return
    split = told.get("dataframe_split")
    if isinstance(split, dict) and isinstance(split.get("data"), list):
        names = [str(name) for name in split.get("columns") or ()]
        for row in split["data"]:
            if isinstance(row, list):
                yield dict(zip(names, row, strict=False))
        return
    for name in _WRAPPED:
        rows = told.get(name)
        if isinstance(rows, dict):
            yield from _by_column(rows)
        elif isinstance(rows, list):
            yield from (row for row in rows if isinstance(row, dict))


def _by_column(columns: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    lists = {name: value if isinstance(value, list) else [value] for name, value in columns.items()}
    for at in range(max(map(len, lists.values()), default=0)):
        yield {name: value[at] for name, value in lists.items() if at < len(value)}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
