"""Requests of a table: each row is one, with the answer, id and time that are recorded beside its features."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from shadowserve.errors import RequestError
from shadowserve.faults import to_json
from shadowserve.records import PHASES, Fault, Request, Times
from shadowserve.schema.scalars import Refusal, scalar
from shadowserve.schema.schema import Schema
from shadowserve.state.archive.layout import FEATURE
from shadowserve.state.archive.table_file import Record, TableError, TableFile, row_error
from shadowserve.state.archive.table_names import Names, refuse_lacking, roles
from shadowserve.wire import answers
from shadowserve.wire.invocations import takes_csv

CHUNK = 512
JSON = "application/json"
NO_TIMES = Times(phases_ns=(0,) * len(PHASES)).pack()
"""A table does not say how long its answers took."""
_FAILED = to_json(Fault(type="recorded", step=None, frame="", digest=""))


@dataclass(slots=True)
class Table:
    """One table, opened.

    Parameters
    ----------
    file : TableFile
    schema : Schema
        Types its features.
    roles : mapping of str to str
        Which of its columns is what, by the fields of `Names`.
    texts : bool
        Whether answers are texts by the signature; else a text is JSON where it can be.
    skip_bad : bool
        Whether bad rows are left out.

    Attributes
    ----------
    bad : list of TableError
        What was left out, as far as the table was read.
    labels : list of (request id, JSON value)
        Those of the requests that were read last.
    """

    file: TableFile
    schema: Schema
    roles: Mapping[str, str]
    texts: bool
    skip_bad: bool = False
    bad: list[TableError] = field(default_factory=list)
    labels: list[tuple[str, Any]] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        signature: Mapping[str, Any] | None,
        names: Names,
        skip_bad: bool = False,
    ) -> Table:
        """Open a table, and hold its columns against a signature.

        Raises
        ------
        TableError
            If it cannot be read, lacks a column, or a signature asks for what no table holds.
        """
        file, schema = TableFile.open(path), Schema.from_signature(signature)
        if schema.tensors or not schema.named or schema.params:
            raise TableError(
                "The model takes tensors, unnamed columns or parameters, which no table holds. Keep its requests "
                "with 'shadowserve serve --keep-journal 7d', and give the word archive."
            )
        if file.is_text and not takes_csv(schema):
            raise TableError(
                "CSV says nothing about types, and the model's signature cannot make up for it here. Give Parquet or "
                "JSON lines."
            )
        exported = any(name.startswith(FEATURE) for name in file.names or ())
        own = {f"{FEATURE if exported else ''}{column.key}" for column in schema.columns}
        found = roles(file, names, own)
        refuse_lacking(file, schema, FEATURE if exported else "")
        return cls(file, schema, found, texts=_are_texts(signature), skip_bad=skip_bad)

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells this table from another, and from itself after it has changed."""
        file = self.file
        roles = [f"{role}={name}" for role, name in sorted(self.roles.items())]
        return str(file.path.resolve()), str(file.bytes), str(file.changed_ns), *roles

    @property
    def total(self) -> int | None:
        """How many rows it has, where its file says so."""
        return self.file.total

    @property
    def answered(self) -> bool:
        """Whether the champion's answers are recorded."""
        return "answer" in self.roles

    def requests(self) -> Iterator[list[Request]]:
        """Yield the rows as requests, some at a time, from the beginning.

        Raises
        ------
        TableError
            With the number of the first bad row, and its column; not where those are left out.
        """
        self.bad, self._seen = [], set()
        some: list[_Row] = []
        for row in self._rows():
            some.append(row)
            # What an export says of one request stays together.
            if len(some) >= CHUNK and row.is_last:
                yield self._typed(some)
                some = []
        if some:
            yield self._typed(some)

    def _rows(self) -> Iterator[_Row]:
        types = {c.key: c.type for c in self.schema.columns}
        prefix = FEATURE if self._exported else ""
        held: _Row | None = None
        for number, record in self.file.rows({f"{prefix}{k}": t for k, t in types.items()}):
            if isinstance(record, TableError):
                self._leave_out(record)
                continue
            row = self._row(number, record, prefix)
            if held is not None:
                held.is_last = row.position is None or held.position != row.position
                yield held
            held = row
        if held is not None:
            yield held

    @property
    def _exported(self) -> bool:
        return any(name.startswith(FEATURE) for name in self.file.names or ())

    def _row(self, number: int, record: Record, prefix: str) -> _Row:
        at = self.roles
        features = (
            {
                c.key: record[name]
                for c in self.schema.columns
                if (name := f"{prefix}{c.key}") in record
            }
            if self.schema.columns
            else {k: v for k, v in record.items() if k not in at.values()}
        )
        return _Row(
            number,
            features,
            record,
            position=record.get("position") if self._exported else None,
        )

    def _typed(self, rows: Sequence[_Row]) -> list[Request]:
        """Return the requests of rows that the signature takes."""
        self.labels = []
        try:
            self.schema.type_records([row.features for row in rows])
            wrong: dict[int, TableError] = {}
        except RequestError:
            wrong = {row.number: error for row in rows if (error := self._wrong(row)) is not None}
        made = []
        for some in _by_request(rows):
            try:
                for row in some:
                    if row.number in wrong:
                        raise wrong[row.number]
                made.append(self._request(some))
            except TableError as error:
                self._leave_out(error)
        return made

    def _wrong(self, row: _Row) -> TableError | None:
        try:
            self.schema.type_records([row.features])
        except RequestError as error:
            told = str(error).replace(", row 0", "", 1).rstrip(".")
            column = None if error.column is None else str(error.column)
            return TableError(
                f"{self.file.path.name}, row {row.number:,}: {told}.", row=row.number, column=column
            )
        return None

    def _leave_out(self, error: TableError) -> None:
        if not self.skip_bad:
            raise error
        self.bad.append(error)

    def _request(self, rows: Sequence[_Row]) -> Request:
        first = rows[0]
        request_id = self._id(first)
        status, answer = self._answer(rows)
        if (label := self.roles.get("label")) is not None and first.record.get(label) is not None:
            self.labels.append((request_id, self._value(first.record[label])))
        return Request(
            position=first.number,
            request_id=request_id,
            arrived_wall_ns=self._arrived_ns(first),
            arrived_ns=0,
            protocol="invocations",
            content_type=JSON,
            body=orjson.dumps({"dataframe_records": [row.features for row in rows]}),
            status=status,
            answer=answer,
            n_rows=len(rows),
            times=NO_TIMES,
        )

    def _id(self, row: _Row) -> str:
        """Return the row's own id; the row's number with it where an earlier one bears the same, or without one."""
        name = self.roles.get("request_id")
        given = None if name is None else row.record.get(name)
        if given is None:
            return f"row-{row.number}"
        whole = isinstance(given, float) and given.is_integer()
        text = str(int(given) if whole else given)
        if text in self._seen:
            return f"{text}#{row.number}"
        self._seen.add(text)
        return text

    def _arrived_ns(self, row: _Row) -> int:
        name = self.roles.get("time")
        if name is None:
            return self.file.changed_ns
        try:
            moment: np.datetime64 = scalar("datetime")(row.record.get(name))
        except Refusal as refusal:
            told = f"{refusal.expected} is expected, {refusal.received} came"
            raise row_error(self.file.path, row.number, told, column=name) from refusal
        if np.isnat(moment):
            raise row_error(self.file.path, row.number, "no time is recorded", column=name)
        return int(moment.astype(np.int64))

    def _answer(self, rows: Sequence[_Row]) -> tuple[int, bytes]:
        name = self.roles.get("answer")
        if name is None:
            return 200, b""
        if self._exported and rows[0].record.get("status") not in (None, 200, "200"):
            return 500, _FAILED
        found = [self._value(row.record.get(name)) for row in rows]
        if None in found and not self._exported:
            raise row_error(self.file.path, rows[0].number, "no answer is recorded", column=name)
        return 200, answers.dumps({"predictions": found})

    def _value(self, value: Any) -> Any:
        """Return an answer or a label as a JSON value: of a text, what it stands for."""
        if not isinstance(value, str):
            return value
        return value if self.texts else _spelled(value)


@dataclass(slots=True)
class _Row:
    """One row: its number, its features by the signature's names, all its values, and whose request it is."""

    number: int
    features: Record
    record: Record
    position: Any = None
    is_last: bool = True


def _by_request(rows: Sequence[_Row]) -> Iterator[list[_Row]]:
    own: list[_Row] = []
    for row in rows:
        own.append(row)
        if row.is_last:
            yield own
            own = []
    if own:
        yield own


def _are_texts(signature: Mapping[str, Any] | None) -> bool:
    """Tell whether a version says that it answers with one text a row."""
    outputs = (signature or {}).get("outputs")
    outputs = orjson.loads(outputs) if isinstance(outputs, str) else outputs
    if not outputs or len(outputs) != 1:
        return False
    (one,) = outputs
    if one.get("type") != "tensor":
        return one.get("type") == "string" and "name" not in one
    dtype, shape = one["tensor-spec"]["dtype"], one["tensor-spec"]["shape"]
    return dtype in ("str", "object") and len(shape) == 1


def _spelled(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
