"""The ways of asking: how each types a body, encodes an answer, refuses, and is read again.

The data plane and the lanes use the same table, so that a lane types a journaled body exactly as
the champion did and compares answers in the form in which they left.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from shadowserve import wire
from shadowserve.errors import RequestError
from shadowserve.schema.rows import Rows
from shadowserve.schema.schema import Schema
from shadowserve.wire import answers, jsontext, oip
from shadowserve.wire.limits import DEFAULT


@dataclass(frozen=True, slots=True)
class Protocol:
    """One way of asking.

    Parameters
    ----------
    name : str
        As the journal records it.
    read_body : callable
        Body and content type to what was sent, not yet typed. Raises RequestError.
    type : callable
        That and the schema to typed rows and the protocol's own request id, if any. Raises
        RequestError.
    encode : callable
        Raw prediction and ``echo``, that id, to the answer's bytes.
    refuse : callable
        An error and the request id to the refusal's bytes.
    read : callable
        The answer's bytes to the prediction as JSON values.
    """

    name: str
    read_body: Callable[[bytes, str], Any]
    type: Callable[[Any, Schema], tuple[Rows, str | None]]
    encode: Callable[..., bytes]
    refuse: Callable[[RequestError, str], bytes]
    read: Callable[[bytes], Any]

    def parse(self, body: bytes, content_type: str, schema: Schema) -> tuple[Rows, str | None]:
        """Read and type a body in one go."""
        return self.type(self.read_body(body, content_type), schema)


def protocols(model: str, version: int) -> Mapping[str, Protocol]:
    """Return the protocols by name, for the version whose answers they carry."""
    names = {"model": model, "version": str(version)}
    found = (
        Protocol("invocations", wire.read_body, _type_body, _encode, refusal, wire.read_answer),
        Protocol("predict", _read_arguments, _type_arguments, _encode_rows, refusal, _read_rows),
        Protocol(
            "infer",
            _read_json,
            oip.type_request,
            partial(oip.answer, **names),
            oip.refusal,
            oip.read_answer,
        ),
    )
    return {protocol.name: protocol for protocol in found}


def refusal(error: RequestError, request_id: str) -> bytes:
    """Encode a refusal as the contract's error object."""
    return wire.error_body(
        error.code, str(error), column=error.column, row=error.row, request_id=request_id
    )


def refusal_at(path: str, error: RequestError, request_id: str) -> bytes:
    """Encode a refusal in the form of the protocol that a path belongs to.

    Examples
    --------
    >>> refusal_at("/v2/models/films", RequestError("Use GET.", code="method_not_allowed"), "r1")
    b'{"error":"Use GET."}'
    """
    return (oip.refusal if is_inference_protocol(path) else refusal)(error, request_id)


def is_inference_protocol(path: str) -> bool:
    """Whether a path is one of the Open Inference Protocol.

    Examples
    --------
    >>> is_inference_protocol("/v2/models/films/infer"), is_inference_protocol("/v2x")
    (True, False)
    """
    return path == "/v2" or path.startswith("/v2/")


def _type_body(given: wire.Given, schema: Schema) -> tuple[Rows, str | None]:
    return wire.type_body(given, schema), None


def _encode(prediction: Any, *, echo: str | None = None) -> bytes:  # noqa: ARG001 - has no id
    return wire.answer(prediction)


def _read_json(body: bytes, content_type: str) -> Any:
    """Read JSON that is called so, or that nothing is said of, as clients of these protocols do."""
    if content_type and not wire.is_json(content_type):
        raise RequestError(
            "The content type is application/json in UTF-8; another one came.",
            code="unsupported_media_type",
            status=415,
        )
    return jsontext.loads(body, max_depth=DEFAULT.max_depth)


def _read_arguments(body: bytes, content_type: str) -> Any:
    """Read the arguments of BentoML's typed API: ``{"rows": [record, ...]}``."""
    arguments = _read_json(body, content_type)
    is_known = type(arguments) is dict and arguments.keys() == {"rows"}
    if not is_known or type(arguments["rows"]) is not list:
        raise RequestError(
            "The body is a JSON object with exactly the key rows, a list of records.",
            code="wrong_protocol",
        )
    return arguments["rows"]


def _type_arguments(records: Any, schema: Schema) -> tuple[Rows, str | None]:
    return wire.type_scoring({"dataframe_records": records}, schema), None


def _encode_rows(prediction: Any, *, echo: str | None = None) -> bytes:  # noqa: ARG001 - has no id
    return answers.dumps(answers.plain(prediction))


def _read_rows(answer: bytes) -> Any:
    return answers.read_json(answer)


def server_metadata() -> bytes:
    """Return the Open Inference Protocol's description of the server."""
    version = importlib.metadata.version("shadowserve")
    return answers.dumps({"name": "shadowserve", "version": version, "extensions": []})


def model_metadata(schema: Schema, *, model: str, version: int) -> bytes:
    """Return the Open Inference Protocol's description of the served version."""
    return answers.dumps(oip.metadata(schema, model=model, versions=[str(version)]))
