"""A tapped request: one record of what another server was asked and answered.

It becomes a `Request` of the journal like any other, once it is sure that lanes can read it: the
body is typed by the champion's signature, and the answer has its protocol's form. What is not so is
refused here, since a lane could not refuse it.
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from shadowserve import faults
from shadowserve.divergence import by_row
from shadowserve.errors import RequestError
from shadowserve.records import Fault, Request, Times
from shadowserve.schema.rows import Rows
from shadowserve.schema.schema import Schema
from shadowserve.wire import answers, jsontext
from shadowserve.wire.limits import MAX_DEPTH
from shadowserve.wire.protocols import Protocol

FIELDS = (
    "protocol", "request_id", "content_type", "status", "latency_ms", "arrived_s",
    "entity", "request", "request_text", "request_base64", "answer", "answer_text", "answer_base64",
)  # fmt: skip
OVERLOADED = (429, 503)
"""Statuses by which a server turns a caller away before its model has seen the request."""
MAX_ID_LENGTH = 256
"""Characters of an id, an entity or a content type. The data plane bounds its own ids likewise, and what is
longer would bloat every table that shows it."""
MAX_LATENCY_MS = 3.6e6
"""An hour, in ms: no caller waits so long, so a larger number is in another unit or a clock that was set
meanwhile."""
MAX_AGE_S = 86_400.0
"""A day, in seconds: a request said to be older is dated a day back, so that a clock that is far off cannot
move windows of long ago."""


@dataclass(frozen=True, slots=True)
class Tapped:
    """One record of a tap, valid by itself.

    Parameters
    ----------
    status : int
        What the caller got.
    body, answer : bytes
        As they passed, or as the tap adapted them.
    latency_ns : int
        The answer's time in the server that gave it.
    entity : str
        Whom the request is for, as a header of it said; empty for nobody.
    """

    status: int
    protocol: str
    request_id: str
    content_type: str
    body: bytes
    answer: bytes
    latency_ns: int
    arrived_wall_ns: int
    entity: str = field(default="", repr=False)

    @property
    def answered(self) -> bool:
        """Whether there is an answer to compare: a 2xx."""
        return 200 <= self.status < 300

    @property
    def counts_as(self) -> str:
        """The ledger's word for it: ``answered``, ``failed``, ``rejected`` or ``overloaded``."""
        if self.answered:
            return "answered"
        if self.status in OVERLOADED:
            return "overloaded"
        return "failed" if self.status >= 500 else "rejected"


def read(line: bytes, protocols: Mapping[str, Protocol]) -> Tapped:
    """Read one record.

    Parameters
    ----------
    line : bytes
        A JSON object. ``request`` (any JSON value), ``request_text`` or ``request_base64`` is the
        body, ``answer…`` likewise the answer; ``latency_ms`` is the time that it took.
        Optional: ``protocol`` (invocations), ``content_type`` (application/json), ``status`` (200),
        ``request_id`` (a new one), ``arrived_s`` (seconds since the epoch; by default now, less the
        latency), ``entity`` (whom the request is for, where the deployment has ``--entity-header``).
    protocols : mapping of name to Protocol

    Raises
    ------
    RequestError
        Naming the field and what is expected, never a value.

    Examples
    --------
    >>> from shadowserve.wire.protocols import protocols
    >>> line = b'{"request": {"inputs": [1]}, "answer": {"predictions": [2]}, "latency_ms": 3.5}'
    >>> tapped = read(line, protocols("films", 3))
    >>> tapped.body, tapped.answer, tapped.status, tapped.latency_ns
    (b'{"inputs":[1]}', b'{"predictions":[2]}', 200, 3500000)
    """
    record = jsontext.loads(line, max_depth=MAX_DEPTH + 2)
    # An unknown key is refused: a misspelt one would be a default taken in silence.
    if type(record) is not dict or not record.keys() <= set(FIELDS):
        raise _bad("a record is a JSON object with no other keys than " + ", ".join(FIELDS))
    protocol = record.get("protocol", "invocations")
    # Types are compared exactly, here and below: to Python, true is a whole number.
    if type(protocol) is not str or protocol not in protocols:
        raise _bad(f"protocol is one of {', '.join(protocols)}")
    status = record.get("status", 200)
    if type(status) is not int or not 200 <= status <= 599:
        raise _bad("status is a whole number from 200 to 599")
    latency_ns = int(_number(record, "latency_ms", most=MAX_LATENCY_MS) * 1e6)
    # A failed request is told by its status; its body may quote values.
    answer = _bytes(record, "answer") if 200 <= status < 300 else b""
    return Tapped(
        protocol=protocol,
        request_id=_text(record, "request_id", default="") or uuid.uuid4().hex,
        content_type=_text(record, "content_type", default="application/json"),
        body=_bytes(record, "request"),
        status=status,
        answer=answer,
        latency_ns=latency_ns,
        arrived_wall_ns=_arrival(record, latency_ns),
        entity=_text(record, "entity", default=""),
    )


def check(
    tapped: Tapped, protocol: Protocol, schema: Schema, *, max_body: int
) -> tuple[Tapped, Rows]:
    """Type the body by the champion's signature, and see that the answer can be read.

    Returns
    -------
    tapped : Tapped
        With NaN and infinity in the answer as null, since JSON has neither.
    rows : Rows

    Raises
    ------
    RequestError
        ``bad_answer`` for the answer; for the body as the data plane refuses it.
    """
    if len(tapped.body) > max_body:
        raise RequestError(
            f"The body is larger than {max_body / 2**20:g} MiB, the limit here.",
            code="too_large",
            status=413,
        )
    rows, _ = protocol.parse(tapped.body, tapped.content_type, schema)
    if tapped.answered:
        tapped = replace(tapped, answer=_readable(tapped.answer, protocol, rows.n_rows))
    return tapped, rows


def journaled(
    tapped: Tapped, *, position: int, n_rows: int, sampled: bool, unit: int | None = None
) -> Request:
    """Return the request as the journal keeps it; all its time is inference, since no step is known."""
    answer = tapped.answer
    if not tapped.answered:
        answer = faults.to_json(Fault(f"HTTP {tapped.status}", step=None, frame="", digest=""))
    # Lanes count on the monotonic clock, and the tap knows the other one only.
    age_ns = max(0, time.time_ns() - tapped.arrived_wall_ns)
    return Request(
        position=position,
        request_id=tapped.request_id,
        arrived_wall_ns=tapped.arrived_wall_ns,
        arrived_ns=time.monotonic_ns() - age_ns,
        protocol=tapped.protocol,
        content_type=tapped.content_type,
        body=tapped.body if sampled else None,
        status=200 if tapped.answered else 500,
        answer=answer if sampled else b"",
        n_rows=n_rows,
        times=Times(phases_ns=(0, 0, 0, 0, tapped.latency_ns, 0), batch_rows=n_rows).pack(),
        unit=unit,
    )


def _readable(answer: bytes, protocol: Protocol, n_rows: int) -> bytes:
    """Return an answer that a lane can read, the same bytes if they are valid JSON."""
    # The bytes as they are come first: writing them anew would alter numbers that callers got.
    repairs: tuple[Callable[[bytes], bytes], ...] = (bytes, _without_nan)
    for repair in repairs:
        try:
            given = repair(answer)
            by_row(protocol.read(given), n_rows)
        except Exception:  # noqa: S112 - whatever is wrong with it, it is no answer
            continue
        return given
    raise RequestError(
        f"The answer is not as protocol {protocol.name} has it: "
        f"{protocol.answered_with}. Adapt it in the middleware, with to_predictions.",
        code="bad_answer",
    )


def _without_nan(answer: bytes) -> bytes:
    return answers.dumps(json.loads(answer, parse_constant=_null))


def _null(_constant: str) -> None:
    """Stand for NaN and infinity, of which JSON knows none."""


def _bytes(record: Mapping[str, Any], name: str) -> bytes:
    given = [key for key in (name, f"{name}_text", f"{name}_base64") if key in record]
    if len(given) != 1:
        raise _bad(f"exactly one of {name}, {name}_text and {name}_base64 is given")
    value = record[given[0]]
    if given[0] == name:
        return answers.dumps(value)
    if type(value) is not str:
        raise _bad(f"{given[0]} is text")
    try:
        return (
            value.encode() if given[0].endswith("text") else base64.b64decode(value, validate=True)
        )
    except ValueError:  # a lone surrogate, or no base64
        raise _bad(f"{given[0]} cannot be decoded") from None


def _text(record: Mapping[str, Any], name: str, *, default: str) -> str:
    value = record.get(name, default)
    if type(value) is not str or len(value) > MAX_ID_LENGTH or not value.isprintable():
        raise _bad(f"{name} is printable text of at most {MAX_ID_LENGTH} characters")
    return value


def _number(record: Mapping[str, Any], name: str, *, most: float) -> float:
    value = record.get(name)
    number = float(value) if type(value) in (int, float) else -1.0  # type: ignore[arg-type]
    if not 0 <= number <= most:  # neither is NaN
        raise _bad(f"{name} is a number from 0 to {most:g}")
    return number


def _arrival(record: Mapping[str, Any], latency_ns: int) -> int:
    """Return when the request came; a clock that is far off is not believed."""
    now_ns = time.time_ns()
    if "arrived_s" not in record:
        return now_ns - latency_ns
    told_ns = int(_number(record, "arrived_s", most=1e11) * 1e9)
    return min(now_ns, max(told_ns, now_ns - int(MAX_AGE_S * 1e9)))


def _bad(what: str) -> RequestError:
    return RequestError(f"In a tapped record {what}.", code="bad_record")
