"""How requests and answers of one deployment lie in a table: a row a row, typed by the champion's signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from shadowserve.errors import AnswerError, RequestError
from shadowserve.records import Request
from shadowserve.schema.disclosure import Disclosure, Rule
from shadowserve.schema.schema import Schema
from shadowserve.state.archive.facts import Facts
from shadowserve.state.archive.hiding import json_values, text_of
from shadowserve.state.deployment import Deployment
from shadowserve.wire.protocols import protocols

OWN = (
    ("position", pa.int64()),
    ("request_id", pa.string()),
    ("arrived", pa.timestamp("ns", tz="UTC")),
    ("version", pa.int64()),
    ("row", pa.int32()),
    ("status", pa.int16()),
)
"""Columns that every export begins with; `row` counts within a request, from 0."""
PREDICTION = "prediction"
FEATURE = "input/"
"""Stands before a feature's name, so that none is taken for one of ours."""
_TYPES = {
    "boolean": pa.bool_(), "integer": pa.int32(), "long": pa.int64(), "float": pa.float32(),
    "double": pa.float64(), "string": pa.string(), "binary": pa.binary(),
    "datetime": pa.timestamp("ns"),
}  # fmt: skip

Row = tuple[Any, ...]


class Layout:
    """One deployment's table.

    Parameters
    ----------
    deployment : Deployment
    shown : str or tuple of str
        ``"all"``, ``"none"`` or columns whose values may leave besides those that the deployment names. What it drops
        or hashes stays so.

    Attributes
    ----------
    columns, withheld, hashed : tuple of str
        Features whose values are in it, are not, and are in it as hashes.
    """

    def __init__(self, deployment: Deployment, *, shown: str | tuple[str, ...] = "none") -> None:
        options, champion = deployment.options, deployment.champion
        self._schema = Schema.from_signature(champion.signature)
        self._disclosure = _with(options.disclosure(salt=deployment.salt), shown)
        self._protocols = protocols(champion.model, champion.number)
        rules = {c.key: self._disclosure.rule(c.key) for c in self._schema.columns}
        self.columns = tuple(name for name, rule in rules.items() if rule is Rule.SHOWN)
        self.hashed = tuple(name for name, rule in rules.items() if rule is Rule.HASHED)
        self.withheld = tuple(rules.keys() - {*self.columns, *self.hashed})
        self._kinds = {c.key: c.type for c in self._schema.columns}
        types = {name: _TYPES.get(kind, pa.string()) for name, kind in self._kinds.items()}
        self._types = {
            name: types[name] if name in self.columns else pa.string()
            for name in rules
            if name in self.columns or name in self.hashed
        }
        self._answers = answer_type(champion.signature)

    @property
    def names(self) -> tuple[str, ...]:
        """All columns of the signature."""
        return tuple(column.key for column in self._schema.columns)

    @property
    def schema(self) -> pa.Schema:
        """The table's columns."""
        features = [(f"{FEATURE}{name}", kind) for name, kind in self._types.items()]
        return pa.schema([*OWN, (PREDICTION, self._answers), *features])

    def rows(self, request: Request, facts: Facts) -> tuple[list[Row], bool]:
        """Lay one request out.

        Returns
        -------
        rows : list of tuple
            One a row, in the order of `schema`.
        known : bool
            Whether its values could be told: not of a request that was sampled out.
        """
        n, blank = request.n_rows, [None] * request.n_rows
        features = self._features(request, facts)
        answers = self._answer(request) or blank
        columns = [(features or {}).get(name, blank) for name in self._types]
        own = (request.position, request.request_id, request.arrived_wall_ns, facts.version)
        made = [
            (*own, row, request.status, answers[row], *(column[row] for column in columns))
            for row in range(n)
        ]
        return made, features is not None

    def table(self, rows: Sequence[Row]) -> pa.Table:
        """Return rows as a table."""
        columns = zip(*rows, strict=True)
        made = [pa.array(c, f.type) for c, f in zip(columns, self.schema, strict=True)]
        return pa.table(made, self.schema)

    def _features(self, request: Request, facts: Facts) -> dict[str, list[Any]] | None:
        """Return the values that may leave, a list a column; None where none can be told."""
        if request.body is None:
            return None
        schema = self._kept_of(facts.hidden)
        try:
            protocol = self._protocols[request.protocol]
            rows, _ = protocol.parse(request.body, request.content_type, schema)
        except RequestError:
            return None
        if rows.tensor is not None or rows.n_rows != request.n_rows:
            return None
        columns = {str(name): values for name, values in rows.columns.items()}
        told = {
            name: self._told(name, values)
            for name, values in columns.items()
            if name in self._types
        }
        return told | self._hashes(request.body, facts)

    def _kept_of(self, hidden: tuple[str, ...]) -> Schema:
        columns = tuple(c for c in self._schema.columns if c.key not in hidden)
        return replace(self._schema, columns=columns) if hidden else self._schema

    def _told(self, name: str, values: np.ndarray) -> list[Any]:
        if name in self.hashed:
            return [
                None if one is None else self._disclosure.digest(text_of(one))
                for one in json_values(values, self._kinds[name])
            ]
        kind = self._types[name]
        if pa.types.is_timestamp(kind):
            return [None if np.isnat(one) else int(one.astype("int64")) for one in values]
        if pa.types.is_binary(kind):
            return list(values)
        told = json_values(values, self._kinds[name])
        if pa.types.is_string(kind):
            return [one if one is None or isinstance(one, str) else text_of(one) for one in told]
        return told

    def _hashes(self, body: bytes, facts: Facts) -> dict[str, list[Any]]:
        """Return the columns of which the archive itself holds hashes."""
        if not facts.hashed:
            return {}
        split = orjson.loads(body)["dataframe_split"]
        columns = dict(zip(split["columns"], zip(*split["data"], strict=True), strict=True))
        # Where the column may be shown now, a hash is no value of its type.
        wanted = [name for name in facts.hashed if name in self.hashed and name in columns]
        return {name: list(columns[name]) for name in wanted}

    def _answer(self, request: Request) -> list[Any] | None:
        """Return the answer's rows; None for a failure, and for an answer of another form."""
        if request.status != 200:
            return None
        try:
            told = self._protocols[request.protocol].read(request.answer)
        except AnswerError:
            return None
        if not isinstance(told, list) or len(told) != request.n_rows:
            return None
        if pa.types.is_string(self._answers):
            return [one if one is None or isinstance(one, str) else text_of(one) for one in told]
        return [one if _fits(one, self._answers) else None for one in told]


def answer_type(signature: Mapping[str, Any] | None) -> pa.DataType:
    """Return the type of an answer's rows: the signature's, where it is one plain value; else text, JSON where it must be."""
    outputs = (signature or {}).get("outputs")
    outputs = orjson.loads(outputs) if isinstance(outputs, str) else outputs
    if not outputs or len(outputs) != 1 or "name" in outputs[0]:
        return pa.string()
    (one,) = outputs
    if one.get("type") != "tensor":
        return _TYPES.get(str(one.get("type")), pa.string())
    spec = one["tensor-spec"]
    return _of_tensor(str(spec["dtype"])) if len(spec["shape"]) == 1 else pa.string()


def _of_tensor(dtype: str) -> pa.DataType:
    if dtype.startswith(("int", "uint")):
        return pa.int64()
    if dtype.startswith("float"):
        return pa.float64()
    return pa.bool_() if dtype == "bool" else pa.string()


def _fits(value: object, kind: pa.DataType) -> bool:
    try:
        pa.scalar(value, kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return False
    return True


def _with(known: Disclosure, shown: str | tuple[str, ...]) -> Disclosure:
    """Return a disclosure that shows more; what is hashed or dropped stays so."""
    if shown == "none" or known.log == "all":
        return known
    if shown == "all":
        return replace(known, log="all")
    named = () if isinstance(known.log, str) else known.log
    return replace(known, log=tuple({*named, *shown}))
