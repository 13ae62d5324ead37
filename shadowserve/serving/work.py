"""A request on its way through a champion worker, and its end.

The data plane makes it on the event loop; the scoring thread ends it and lets the loop know.
"""

from __future__ import annotations

import contextlib
import logging
from asyncio import AbstractEventLoop
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from shadowserve.errors import RequestError
from shadowserve.faults import fault_of, tell, to_json
from shadowserve.records import Request, Times
from shadowserve.schema.rows import Rows
from shadowserve.scorer.scorer import Scored
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

    def times(
        self, scored: Scored, started_ns: int, encode_ns: int, size: tuple[int, int]
    ) -> Times:
        """Return its times, scored in a batch of so many requests and rows."""
        before = (started_ns - self.parsed_ns, self.parse_ns, self.schema_ns)
        return Times(
            phases_ns=(*before, scored.featurization_ns, scored.inference_ns, encode_ns),
            wall_ns=scored.wall_ns,
            cpu_ns=scored.cpu_ns,
            batch_requests=size[0],
            batch_rows=size[1],
        )


@dataclass(frozen=True, slots=True)
class Served:
    """A request and its end: a 200 with the encoded prediction, a 500 with the fault, or a refusal.

    Parameters
    ----------
    nonfinite : int
        NaN and infinite values of the prediction, which are null in the body.
    refusal : RequestError, optional
        What the model's type hint has against it; then it was not scored, and is not journaled.
    """

    work: Work
    status: int
    body: bytes
    times: Times
    nonfinite: int = 0
    refusal: RequestError | None = None

    def request(self, position: int) -> Request:
        """Return it as the journal keeps it; what is sampled out leaves neither body nor answer."""
        work = self.work
        return Request(
            position=position,
            request_id=work.request_id,
            arrived_wall_ns=work.arrived_wall_ns,
            arrived_ns=work.arrived_ns,
            protocol=work.protocol,
            content_type=work.content_type,
            body=work.body if work.sampled else None,
            status=self.status,
            answer=self.body if work.sampled else b"",
            n_rows=work.rows.n_rows,
            times=self.times.pack(),
            unit=work.unit,
        )


def tried(work: Work, started_ns: int) -> Served | None:
    """Try a request by the model's type hint; return its end, where it does not fit."""
    try:
        if work.trial is not None:
            work.trial()
    except RequestError as error:
        return Served(work, error.status, b"", Times(phases_ns=()), refusal=error)
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
    waited = (started_ns - work.parsed_ns, work.parse_ns, work.schema_ns, 0, 0, 0)
    return Served(work, 500, to_json(fault), Times(phases_ns=waited))


def lost_values(output: Any, body: bytes) -> int:
    """Count what became null without having been None; most answers have no null at all."""
    if b"null" in body:
        with contextlib.suppress(BaseException):  # it is encoded, and leaves whatever comes of this
            return nonfinite(output)
    return 0
