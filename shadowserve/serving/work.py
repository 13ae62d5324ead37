"""A request on its way through a champion worker, and its end.

The data plane makes it on the event loop; the scoring thread ends it and lets the loop know.
"""

from __future__ import annotations

import contextlib
import logging
from asyncio import AbstractEventLoop
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from shadowserve.errors import RequestError
from shadowserve.faults import fault_of, tell, to_json
from shadowserve.records import Request, Times, packed
from shadowserve.schema.rows import Rows
from shadowserve.wire import nonfinite

_log = logging.getLogger(__name__)


class Awaited(Protocol):
    """Where a request's end is awaited; a future is one."""

    def done(self) -> bool:
        """Whether nobody waits any more."""

    def set_result(self, result: Served, /) -> None:
        """Tell the end, on the event loop."""


@dataclass(slots=True)
class Work:
    """One request on its way through the worker.

    Parameters
    ----------
    rows : Rows
        The typed rows.
    encode : callable
        Turns this request's prediction into the bytes of its protocol.
    sampled : bool
        Whether lanes will get the body.
    arrived_ns, parsed_ns : int
        Monotonic; when the request arrived and when its rows were typed.
    parse_ns, schema_ns : int
        What reading the body took, and what typing its values took.
    loop, done : event loop and its future
        Where the answer is awaited.
    trial : callable, optional
        Tries the rows by the model's type hint; raises RequestError where they do not fit.
    unit : int, optional
        The entity that a header named; see `units`.
    replay : str, optional
        Which replay sent it.
    encode_rows : callable, optional
        The protocol's `encode_rows`, where its answer to this request bears nothing else of its own.
    """

    request_id: str
    protocol: str
    content_type: str
    body: bytes
    rows: Rows
    encode: Callable[[Any], bytes]
    sampled: bool
    arrived_wall_ns: int
    arrived_ns: int
    parsed_ns: int
    parse_ns: int
    schema_ns: int
    loop: AbstractEventLoop
    done: Awaited
    trial: Callable[[], None] | None = None
    unit: int | None = None
    replay: str | None = None
    encode_rows: Callable[[np.ndarray], list[bytes] | None] | None = None

    def phases_ns(self, started_ns: int, *call: int) -> tuple[int, ...]:
        """Return its times by phase: what lay before the call, and what the call took."""
        return (started_ns - self.parsed_ns, self.parse_ns, self.schema_ns, *call)


class Call(NamedTuple):
    """What requests that were scored together have in common; fields as in `Times`."""

    wall_ns: tuple[int, ...] = ()
    cpu_ns: tuple[int, ...] = ()
    batch_requests: int = 1
    batch_rows: int = 1


_NO_CALL = Call()


class Served(NamedTuple):
    """A request and its end: a 200 with the encoded prediction, a 500 with the fault, or a refusal.

    Parameters
    ----------
    phases_ns : tuple of int
        As in `Times`; empty where nobody will ask.
    call : Call
        Shared by all requests of a call.
    nonfinite : int
        NaN and infinite values of the prediction, which are null in the body.
    refusal : RequestError, optional
        What the model's type hint has against it; then it was not scored, and is not journaled.
    """

    work: Work
    status: int
    body: bytes
    phases_ns: tuple[int, ...] = ()
    call: Call = _NO_CALL
    nonfinite: int = 0
    refusal: RequestError | None = None

    @property
    def times(self) -> Times:
        """How long it took."""
        return Times(self.phases_ns, *self.call)

    def request(self, position: int) -> Request:
        """Return it as the journal keeps it; what is sampled out leaves neither body nor answer."""
        work = self.work
        body, answer = (work.body, self.body) if work.sampled else (None, b"")
        # By place: names would cost as much as all the rest.
        return Request(
            position,
            work.request_id,
            work.arrived_wall_ns,
            work.arrived_ns,
            work.protocol,
            work.content_type,
            body,
            self.status,
            answer,
            work.rows.n_rows,
            packed(self.phases_ns, *self.call),
            work.unit,
            work.replay,
        )


def encoded(
    batch: Sequence[Work],
    output: Any,
    split: Callable[[Any, list[int]], list[Any]],
    *,
    by_row: bool,
) -> tuple[list[bytes], list[int]]:
    """Return each request's own answer out of a batch's prediction, and how many values each lost.

    Parameters
    ----------
    batch : sequence of Work
        What was scored together.
    output : object
        The prediction for all rows.
    split : callable
        Cuts a prediction into parts of so many rows.
    by_row : bool
        Whether an array of as many rows is what the version is to answer.
    """
    at_once = _rows_encoded(batch, output) if by_row else None
    if at_once is not None:
        return at_once, [
            lost_values(output[n : n + 1], body) if b"null" in body else 0
            for n, body in enumerate(at_once)
        ]
    parts = split(output, [work.rows.n_rows for work in batch])
    bodies = [work.encode(part) for work, part in zip(batch, parts, strict=True)]
    return bodies, [lost_values(part, body) for part, body in zip(parts, bodies, strict=True)]


def _rows_encoded(batch: Sequence[Work], output: Any) -> list[bytes] | None:
    """Encode the answers to requests of one row in one go, where all are of one protocol that can."""
    encode = batch[0].encode_rows
    if encode is None or len(batch) == 1 or type(output) is not np.ndarray:
        return None
    if output.shape[:1] != (len(batch),):
        return None
    if any(work.encode_rows is not encode or work.rows.n_rows != 1 for work in batch):
        return None
    return encode(output)


def tried(work: Work, started_ns: int) -> Served | None:
    """Try a request by the model's type hint; return its end, where it does not fit."""
    try:
        if work.trial is not None:
            work.trial()
    except RequestError as error:
        return Served(work, error.status, b"", refusal=error)
    except BaseException as error:
        return failed(work, error, started_ns)
    return None


def failed(work: Work, error: BaseException, started_ns: int) -> Served:
    """Return the end of a request whose call raised; the log says where, without the text."""
    fault = fault_of(error)
    tell(
        _log,
        "the champion failed on request %s: %s at %s",
        work.request_id,
        fault.type,
        fault.frame,
    )
    # What came before the call that failed was spent all the same.
    return Served(work, 500, to_json(fault), work.phases_ns(started_ns, 0, 0, 0))


def lost_values(output: Any, body: bytes) -> int:
    """Count what became null without having been None; most answers have no null at all."""
    if b"null" in body:
        with contextlib.suppress(BaseException):  # it is encoded, and leaves whatever comes of this
            return nonfinite(output)
    return 0
