"""A protocol's description: its routes, its rows and bytes, its refusals, its OpenAPI body.

Each protocol is one module with one such record; `protocols` registers them. Whoever needs to know
something of a protocol reads it from its record.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from shadowserve.errors import RequestError
from shadowserve.schema.json_schema import Json
from shadowserve.schema.rows import Rows
from shadowserve.schema.schema import Schema
from shadowserve.wire.refusals import OBJECT, RefusalForm


class Purpose(Enum):
    """What a route is for; the data plane has one way of answering each."""

    SCORE = "rows to predictions"
    """The only one that reaches the model: it waits its turn, is journaled, and may be overloaded."""

    LIVE = "whether the process answers"
    """Says nothing of the champion: a process that still loads must not be restarted for it."""

    READY = "whether every worker's champion is loaded and warm"
    """For load balancers. A challenger's state never changes it."""

    METRICS = "counts and times, for Prometheus"
    """Of all processes, whichever worker is asked."""

    DOCUMENT = "the OpenAPI document"
    """Made from the signature once the champion is loaded."""

    TELL = "what the route's own function says of the served version"
    """Metadata that a protocol wants, such as its types and its version.

    It is made from the schema and costs no call of the model, so it needs no queue.
    """


@dataclass(frozen=True, slots=True)
class Route:
    """One path of the data plane.

    Parameters
    ----------
    path : str
        With ``{model}`` and ``{version}`` where those are part of it.
    purpose : Purpose
    tell : callable, optional
        Schema, model and version to the answer of a `TELL` route.
    media : str
        The answer's content type.
    documented : bool
        Whether the OpenAPI document lists it.
    """

    path: str
    purpose: Purpose
    tell: Callable[[Schema, str, int], bytes] | None = None
    media: str = "application/json"
    documented: bool = True

    @property
    def names_model(self) -> bool:
        """Whether the path exists only once it is known what is served."""
        return "{model}" in self.path

    @property
    def is_probe(self) -> bool:
        """Whether anybody may ask it, under any name and without a token."""
        return self.purpose in (Purpose.LIVE, Purpose.READY) and not self.names_model

    def of(self, model: str, version: int) -> str:
        """Return the path for a served version.

        Examples
        --------
        >>> Route("/v2/models/{model}/infer", Purpose.SCORE).of("films", 3)
        '/v2/models/films/infer'
        """
        return self.path.format(model=model, version=version)


class Parsed(NamedTuple):
    """A body as typed rows.

    Parameters
    ----------
    rows : Rows
    echo : str or None
        The protocol's own request id.
    parse_ns, schema_ns : int
        What reading the body took, and what typing its values took.
    """

    rows: Rows
    echo: str | None
    parse_ns: int
    schema_ns: int


@dataclass(frozen=True, slots=True)
class Protocol:
    """One way of asking.

    Parameters
    ----------
    name : str
        As the journal records it: a record is read by it years later, so it never changes.
    prefix : str
        Every path at or below it is the protocol's, and is refused in its form.
    routes : tuple of Route
    read_body : callable
        Body and content type to what was sent, not yet typed. Raises RequestError.
    type : callable
        That and the schema to typed rows and the protocol's own request id, if any. Raises
        RequestError.
    encode : callable
        Raw prediction and ``echo``, that id, to the answer's bytes.
    read : callable
        The answer's bytes to the prediction as JSON values.
    answered_with : str
        What an answer is, in words.
    described : callable
        The schema to a request's content in an OpenAPI document, by media type.
    answers : dict
        An answer's JSON Schema.
    refusals : RefusalForm
    names_version : bool
        Whether `encode` also takes ``model`` and ``version``, which its answers name.
    encode_rows : callable, optional
        An array of one row a request to their answers, each as `encode` would give it alone; None for
        an array of which each row is to be encoded by itself.
    record : callable, optional
        What was read of a body to its only row, if it is an object of names and values and nothing else
        came; else None.
    """

    name: str
    prefix: str
    routes: tuple[Route, ...]
    read_body: Callable[[bytes, str], Any]
    type: Callable[[Any, Schema], tuple[Rows, str | None]]
    encode: Callable[..., bytes]
    read: Callable[[bytes], Any]
    answered_with: str
    described: Callable[[Schema], Json]
    answers: Json = field(default_factory=dict)
    refusals: RefusalForm = OBJECT
    names_version: bool = False
    encode_rows: Callable[[np.ndarray], list[bytes] | None] | None = None
    record: Callable[[Any], dict[str, Any] | None] | None = None

    @property
    def names_model(self) -> bool:
        """Whether some of its paths name what is served, so that others may be asked for in vain."""
        return any(route.names_model for route in self.routes)

    def parse(self, body: bytes, content_type: str, schema: Schema) -> tuple[Rows, str | None]:
        """Read and type a body in one go."""
        return self.type(self.read_body(body, content_type), schema)

    def timed_parse(self, body: bytes, content_type: str, schema: Schema) -> Parsed:
        """Read and type a body, and tell what either took."""
        started_ns = time.monotonic_ns()
        given = self.read_body(body, content_type)
        read_ns = time.monotonic_ns()
        rows, echo = self.type(given, schema)
        return Parsed(rows, echo, read_ns - started_ns, time.monotonic_ns() - read_ns)

    def refuse(self, error: RequestError, request_id: str) -> bytes:
        """Encode a refusal in the protocol's form."""
        return self.refusals.write(error, request_id)

    def owns(self, path: str) -> bool:
        """Tell whether a path is the protocol's."""
        return path == self.prefix or path.startswith(f"{self.prefix}/")

    def serving(self, model: str, version: int) -> Protocol:
        """Return the protocol whose answers carry a served version's name, where they name one."""
        if not self.names_version:
            return self
        return replace(self, encode=partial(self.encode, model=model, version=str(version)))
