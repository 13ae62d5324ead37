"""MLflow's scoring protocol, ``POST /invocations``: JSON in four forms, or CSV.

Its clients also ask for `mlflow models serve`'s own health routes and for its version.
"""

from __future__ import annotations

import importlib.metadata
from typing import Any, NamedTuple

from shadowserve.schema import json_schema
from shadowserve.schema.json_schema import Json
from shadowserve.schema.rows import Rows
from shadowserve.schema.scalars import SCALARS
from shadowserve.schema.schema import Schema
from shadowserve.wire import answers
from shadowserve.wire.csvtext import read_csv, type_csv
from shadowserve.wire.jsontext import loads
from shadowserve.wire.limits import MAX_DEPTH
from shadowserve.wire.media import media
from shadowserve.wire.openapi import closed, content, many, params
from shadowserve.wire.protocol import Protocol, Purpose, Route
from shadowserve.wire.scoring import lone_record, type_scoring

_NAMES: Json = {"type": "array", "items": {"type": ["string", "integer"]}}


class Given(NamedTuple):
    """A body that was read but not typed: a JSON document, or lines of CSV fields."""

    content: Any
    is_csv: bool
    header: bool


def parse(body: bytes, content_type: str | None, schema: Schema) -> Rows:
    """Parse a request of MLflow's scoring protocol.

    Parameters
    ----------
    body : bytes
        Already unpacked, within the size that the server allows.
    content_type : str or None
        ``application/json`` or ``text/csv``, with ``charset`` (UTF-8 only) and, for CSV,
        ``header=present`` or ``header=absent``.
    schema : Schema

    Raises
    ------
    RequestError
        With status 400, 413 or 415; never a value of the request in its text.

    Examples
    --------
    >>> schema = Schema.from_signature({"inputs": [{"name": "age", "type": "long"}]})
    >>> parse(b'{"inputs": {"age": [41, 42]}}', "application/json", schema).columns
    {'age': array([41, 42])}
    """
    rows, _ = _typed(_read(body, content_type or ""), schema)
    return rows


def _read(body: bytes, content_type: str) -> Given:
    """Read a body as its content type says, without typing its values."""
    is_csv, header = media(content_type)
    return Given(read_csv(body) if is_csv else loads(body, max_depth=MAX_DEPTH), is_csv, header)


def _typed(given: Given, schema: Schema) -> tuple[Rows, str | None]:
    if given.is_csv:
        return type_csv(given.content, schema, header=given.header), None
    return type_scoring(given.content, schema), None


def _record(given: Given) -> dict[str, Any] | None:
    return None if given.is_csv else lone_record(given.content)


def _encode(prediction: Any, *, echo: str | None = None) -> bytes:  # noqa: ARG001 - has no id
    return answers.answer(prediction)


def described(schema: Schema) -> Json:
    """Describe a request's content: JSON, and CSV where the types allow it."""
    forms: Json = {"application/json": content(_forms(schema), _example(schema))}
    if takes_csv(schema):
        forms["text/csv"] = {"schema": {"type": "string"}}
    return forms


def takes_csv(schema: Schema) -> bool:
    """Tell whether the signature says enough about types for CSV, which says nothing."""
    flat = all(column.type in SCALARS for column in schema.columns)
    shallow = all(tensor.name is None and len(tensor.shape) <= 2 for tensor in schema.tensors)
    return schema.is_typed and flat and shallow


def _forms(schema: Schema) -> Json:
    """Describe one of the four keys, each a form of the same rows."""
    forms = {
        "dataframe_records": many(json_schema.record(schema)),
        "dataframe_split": _split(schema),
        "instances": _arrays(schema),
        "inputs": _arrays(schema),
    }
    known = {"params": params(schema)}
    return {"oneOf": [closed({k: form} | known, required=[k]) for k, form in forms.items()]}


def _split(schema: Schema) -> Json:
    rows = {"type": "array", "items": {"type": "array"}, "minItems": 1}
    shape = {"columns": _NAMES, "data": rows, "index": {"type": "array"}}
    return closed(shape, required=["columns", "data"] if schema.named else ["data"])


def _arrays(schema: Schema) -> Json:
    """Describe ``instances`` and ``inputs``: by row, by column, or bare lists."""
    if schema.tensors:
        return _tensor_arrays(schema)
    if schema.is_open:
        return {"type": ["array", "object"]}
    record = json_schema.record(schema)
    forms: list[Json] = [many(record), record, json_schema.table(schema)] if schema.named else []
    if schema.takes_lists:
        forms.append(many(json_schema.row(schema)))
    if len(schema.columns) == 1:
        forms.append(many(json_schema.of_column(schema.columns[0])))
    return {"anyOf": forms}


def _tensor_arrays(schema: Schema) -> Json:
    if schema.tensors[0].name is None:
        return json_schema.tensor(schema.tensors[0])
    named = {str(tensor.name): json_schema.tensor(tensor) for tensor in schema.tensors}
    by_row = many({"type": "object"})
    by_name = {"type": "object", "properties": named, "required": list(named)}
    return {"anyOf": [by_name, by_row]}


def _example(schema: Schema) -> Json | None:
    sent = json_schema.example(schema.columns)
    return {"dataframe_records": [sent]} if sent and schema.named else None


def _mlflow_version(_schema: Schema, _model: str, _version: int) -> bytes:
    """Tell MLflow's version, as its scoring server does."""
    return importlib.metadata.version("mlflow").encode()


PROTOCOL = Protocol(
    name="invocations",
    prefix="/invocations",
    routes=(
        Route("/invocations", Purpose.SCORE),
        Route("/ping", Purpose.READY, documented=False),
        Route("/health", Purpose.READY, documented=False),
        Route("/version", Purpose.TELL, _mlflow_version, media="text/plain", documented=False),
    ),
    read_body=_read,
    type=_typed,
    record=_record,
    encode=_encode,
    encode_rows=answers.answer_rows,
    read=answers.read_answer,
    answered_with='a JSON object with "predictions"',
    described=described,
    answers={"type": "object", "required": ["predictions"], "properties": {"predictions": {}}},
)
