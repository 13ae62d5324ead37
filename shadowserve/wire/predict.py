"""BentoML's typed API, ``POST /predict``: ``{"rows": [record, ...]}`` in, one answer a row out."""

from __future__ import annotations

from typing import Any

from shadowserve.errors import RequestError
from shadowserve.schema import json_schema
from shadowserve.schema.json_schema import Json
from shadowserve.schema.rows import Rows
from shadowserve.schema.schema import Schema
from shadowserve.wire import answers
from shadowserve.wire.media import read_json
from shadowserve.wire.openapi import closed, content, many
from shadowserve.wire.protocol import Protocol, Purpose, Route
from shadowserve.wire.scoring import lone_record, type_scoring


def _read(body: bytes, content_type: str) -> Any:
    """Read the arguments, whose only one is the records."""
    arguments = read_json(body, content_type)
    is_known = type(arguments) is dict and arguments.keys() == {"rows"}
    if not is_known or type(arguments["rows"]) is not list:
        raise RequestError(
            "The body is a JSON object with exactly the key rows, a list of records.",
            code="wrong_protocol",
        )
    return arguments["rows"]


def _typed(records: Any, schema: Schema) -> tuple[Rows, str | None]:
    return type_scoring({"dataframe_records": records}, schema), None


def _record(records: Any) -> dict[str, Any] | None:
    return lone_record({"dataframe_records": records})


def _encode(prediction: Any, *, echo: str | None = None) -> bytes:  # noqa: ARG001 - has no id
    return answers.dumps(answers.plain(prediction))


def _described(schema: Schema) -> Json:
    shape = closed({"rows": many(json_schema.record(schema))}, required=["rows"])
    sent = json_schema.example(schema.columns)
    return {"application/json": content(shape, sent and {"rows": [sent]})}


PROTOCOL = Protocol(
    name="predict",
    prefix="/predict",
    routes=(Route("/predict", Purpose.SCORE),),
    read_body=_read,
    type=_typed,
    record=_record,
    encode=_encode,
    read=answers.read_json,
    answered_with="a JSON list",
    described=_described,
    answers={"description": "One answer a row."},
)
