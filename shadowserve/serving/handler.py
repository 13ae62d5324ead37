"""The scoring handler: it reads and types a request, hands it to the champion, and delivers the answer."""

from __future__ import annotations

import asyncio
import logging
import time
from asyncio import Future
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from shadowserve.errors import RequestError
from shadowserve.faults import fault_of, tell
from shadowserve.http.answer_head import AnswerHead
from shadowserve.http.asgi import (
    MAX_HELD,
    BodyBudget,
    ClientGone,
    Crowded,
    Head,
    Receive,
    Scope,
    Send,
    answer,
    is_gone,
    read_body,
    request_id_of,
)
from shadowserve.http.refusals import refusal
from shadowserve.records import REPLAY_HEADER
from shadowserve.schema.schema import Schema
from shadowserve.serving.champion import Overloaded
from shadowserve.serving.information import NOT_READY
from shadowserve.serving.ready import Ready
from shadowserve.serving.work import Awaited, Served, Work
from shadowserve.serving.worker_journal import meet
from shadowserve.settings.gate import is_page
from shadowserve.state.counters import Counters
from shadowserve.state.metrics import observe_response
from shadowserve.state.unknown_columns import UnknownColumns
from shadowserve.wire.jsontext import refuse_nan
from shadowserve.wire.protocol import Parsed, Protocol
from shadowserve.wire.together import outcomes

LARGE_BODY = 64 * 2**10
"""Bytes; a larger body is typed off the event loop, so that it holds up nobody's health checks."""
MAX_MARK = 64
"""Bytes of a replay's name that are kept."""
REFUSED = 400
"""The status of what does not fit the signature."""

_ENDS = {
    500: RequestError("The model failed on this request.", code="model_error", status=500),
    503: RequestError(
        "A call of the model does not end; the worker is being replaced. Try again in a second.",
        code="not_ready",
        status=503,
    ),
    504: RequestError(
        "The model has taken longer than --request-timeout on this request. "
        "Send fewer rows at a time, or raise it.",
        code="timeout",
        status=504,
    ),
}
_BUSY = RequestError(
    "Too much is in hand here. Try again in a second.", code="overloaded", status=503
)
_BROKEN = RequestError("The request could not be taken.", code="internal_error", status=500)

_log = logging.getLogger(__name__)


class _NotReady(Exception):  # noqa: N818 - a state, not a fault
    """The champion is not loaded yet."""


class Asked(NamedTuple):
    """A request whose body has come.

    Parameters
    ----------
    arrived_ns : (int, int)
        Since the epoch, and by the monotonic clock.
    done : Future or what stands for one
        Set to what was served.
    """

    protocol: Protocol
    headers: Mapping[bytes, bytes]
    body: bytes
    request_id: str
    arrived_ns: tuple[int, int]
    done: Awaited


class ScoringHandler:
    """Takes requests to the champion and its answers back.

    Parameters
    ----------
    head : AnswerHead
        What every answer bears.
    counters : Counters
        This worker's counts.
    unknown_columns : UnknownColumns
        Takes the names of columns that the signature does not know.
    max_body : int
        Bytes; a larger body is refused before it is parsed.
    read_timeout_s : float, optional
        How long a body may take to come.
    """

    def __init__(
        self,
        head: AnswerHead,
        *,
        counters: Counters,
        unknown_columns: UnknownColumns,
        max_body: int,
        read_timeout_s: float | None = None,
    ) -> None:
        self._head = head
        self._counters = counters
        self._unknown_columns = unknown_columns
        self._max_body = max_body
        self._read_s = read_timeout_s
        self._bodies = BodyBudget(MAX_HELD)
        self._ready: Ready | None = None
        self._schema = Schema.open()

    def open(self, ready: Ready) -> None:
        """Begin to score; until then every request gets a 503."""
        self._schema = ready.schema.without_hint()  # its code runs where the model's does
        self._ready = ready

    async def score(self, protocol: Protocol, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a request to the champion and its answer back."""
        arrived_ns = (time.time_ns(), time.monotonic_ns())
        headers = dict(scope["headers"])
        request_id = request_id_of(headers.get(b"x-request-id"))
        self._counters.add("in_hand")
        body: bytes | None = None
        try:
            # The share is held until the request is in line, whose own bounds count its bytes from
            # there.
            with self._bodies.share() as hold:
                body = await read_body(
                    headers, receive, limit=self._max_body, hold=hold, timeout_s=self._read_s
                )
                ready = self._ready
                if ready is None:
                    raise _NotReady
                done: Future[Served] = asyncio.get_running_loop().create_future()
                asked = Asked(protocol, headers, body, request_id, arrived_ns, done)
                ready.champion.submit(await self._work(ready, asked))
        except ClientGone:
            self._counters.add("client_gone")
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # ours to mend; the caller gets no plain text, no traceback
            await answer(send, *self.refusal_of(protocol, request_id, error, headers))
            # After the answer: no caller waits for what only challengers use.
            self.keep(protocol, headers, body, error)
        else:
            await self._deliver(protocol, receive, send, await done)
        finally:
            self._counters.add("in_hand", -1)

    def refusal_of(
        self,
        protocol: Protocol,
        request_id: str,
        error: BaseException,
        headers: Mapping[bytes, bytes],
    ) -> tuple[int, bytes, Head]:
        """Count what was not taken, and return status, body and headers of its answer."""
        counted = _rejected(again=REPLAY_HEADER in headers)
        if isinstance(error, (Overloaded, Crowded)):
            counted, error = "overloaded", _BUSY
        elif isinstance(error, _NotReady):
            counted, error = "not_ready", NOT_READY
        elif not isinstance(error, RequestError):
            self.tell_broken(request_id, error)
            error = _BROKEN
        self._counters.add(counted)
        self._counters.refuse(error.code)
        head = self._head.of(request_id)
        refused = refusal(error, protocol.refusals, request_id=request_id, head=head)
        return refused.status, refused.body, refused.head

    def tell_broken(self, request_id: str, error: BaseException) -> None:
        """Log a fault of ours, without its text."""
        fault = fault_of(error)
        tell(_log, "request %s: %s at %s", request_id, fault.type, fault.frame)

    def keep(
        self,
        protocol: Protocol,
        headers: Mapping[bytes, bytes],
        body: bytes | None,
        error: BaseException,
    ) -> None:
        """Keep what the signature refused, for challengers to say what theirs would."""
        refusals = self._ready.refusals if self._ready is not None else None
        if refusals is None or body is None or not isinstance(error, RequestError):
            return
        if REPLAY_HEADER in headers:
            return
        if error.status == REFUSED:
            refusals.keep(protocol.name, headers.get(b"content-type", b"").decode("latin-1"), body)

    async def _deliver(
        self, protocol: Protocol, receive: Receive, send: Send, served: Served
    ) -> None:
        if is_gone(receive):
            self.count(served, gone=True)
            return
        self.count(served)
        await answer(send, *self.answer_of(protocol, served))
        self.observe(served)

    def count(self, served: Served, *, gone: bool = False) -> None:
        """Count a request's end; whoever has gone was scored and journaled all the same."""
        if served.refusal is not None:
            self._counters.add(_rejected(again=served.work.replay is not None))
        if served.status != 200:
            self._counters.refuse((served.refusal or _ENDS[served.status]).code)
        if served.nonfinite:
            self._counters.add("nonfinite", served.nonfinite)
        if gone:
            self._counters.add("client_gone")

    def answer_of(self, protocol: Protocol, served: Served) -> tuple[int, bytes, Head]:
        """Return status, body and headers of a request's answer."""
        request_id = served.work.request_id
        head = self._head.of(request_id)
        if served.nonfinite:
            head.append((b"x-shadowserve-nonfinite", str(served.nonfinite).encode()))
        if served.status == 200:
            return 200, served.body, head
        error = served.refusal or _ENDS[served.status]
        refused = refusal(error, protocol.refusals, request_id=request_id, head=head)
        return refused.status, refused.body, refused.head

    def usual_head(self, served: Served) -> bytes | None:
        """Return the header lines of an answer of which no more is its own; None for any other."""
        return self._head.usual if served.status == 200 and not served.nonfinite else None

    def observe(self, served: Served) -> None:
        """Note how long an answer took, from its request's arrival."""
        observe_response(served.status, time.monotonic_ns() - served.work.arrived_ns)

    def submit(self, works: Sequence[Work]) -> Sequence[Work]:
        """Put requests in line; return those for which there is no room."""
        return works if self._ready is None else self._ready.champion.submit_all(works)

    def work_of(self, asked: Asked) -> Work:
        """Read and type a small request at once.

        Raises
        ------
        RequestError
        """
        ready = self._ready
        if ready is None:
            raise _NotReady
        content_type = _content_type(asked.headers)
        parsed = _parsed(ready, asked, content_type, self._schema)
        return self._typed(ready, asked, parsed, content_type)

    def works_of(self, many: Sequence[Asked]) -> list[Work | BaseException]:
        """Read and type small requests of one turn; return for each what `work_of` would return or raise."""
        ends: list[Any] = []
        asking: list[tuple[int, Asked, str]] = []
        ready = self._ready
        for asked in many:
            try:
                if ready is None or len(many) == 1:
                    ends.append(self.work_of(asked))
                    continue
                content_type = _content_type(asked.headers)
                if ready.strict_json:
                    refuse_nan(asked.body)
                asking.append((len(ends), asked, content_type))
                ends.append(None)
            except BaseException as error:
                ends.append(error)
        bodies = [(asked.protocol, asked.body, kind) for _, asked, kind in asking]
        for (place, asked, kind), found in zip(asking, outcomes(bodies, self._schema), strict=True):
            ends[place] = found
            if ready is not None and isinstance(found, Parsed):
                try:
                    ends[place] = self._typed(ready, asked, found, kind)
                except BaseException as error:
                    ends[place] = error
        return ends

    async def _work(self, ready: Ready, asked: Asked) -> Work:
        size, large = len(asked.body), ready.large
        if size < LARGE_BODY:
            return self.work_of(asked)
        content_type = _content_type(asked.headers)
        if large is None or not large.takes(size):
            parsed = await asyncio.get_running_loop().run_in_executor(
                None, _parsed, ready, asked, content_type, self._schema
            )
        else:
            parsed = await large.parse(
                asked.protocol, asked.body, content_type, strict=ready.strict_json
            )
        return self._typed(ready, asked, parsed, content_type)

    def _typed(self, ready: Ready, asked: Asked, parsed: Parsed, content_type: str) -> Work:
        protocol = asked.protocol
        rows, replay = parsed.rows, _replay(asked.headers)
        if rows.extra and replay is None:
            meet(rows.extra, self._counters, self._unknown_columns)
        named, unit = ready.entity_of(asked.headers)
        return Work(
            request_id=asked.request_id,
            protocol=protocol.name,
            content_type=content_type,
            body=asked.body,
            rows=rows,
            encode=protocol.encode
            if parsed.echo is None
            else partial(protocol.encode, echo=parsed.echo),
            sampled=ready.sampling.takes(asked.request_id, rows, named=named),
            arrived_wall_ns=asked.arrived_ns[0],
            arrived_ns=asked.arrived_ns[1],
            parsed_ns=time.monotonic_ns(),
            parse_ns=parsed.parse_ns,
            schema_ns=parsed.schema_ns,
            loop=asyncio.get_running_loop(),
            done=asked.done,
            trial=None if ready.schema.fits is None else partial(ready.schema.try_hint, rows),
            unit=unit,
            replay=replay,
            encode_rows=protocol.encode_rows if parsed.echo is None else None,
        )


def _content_type(headers: Mapping[bytes, bytes]) -> str:
    """Return what a body is said to be; refuse what no program of the team's would send."""
    content_type = headers.get(b"content-type", b"").decode("latin-1")
    if not content_type and is_page(headers):  # the one kind that a page of any site may send
        raise RequestError(
            "No content type came. Browsers send JSON as application/json.",
            code="unsupported_media_type",
            status=415,
        )
    return content_type


def _replay(headers: Mapping[bytes, bytes]) -> str | None:
    """Return which replay sent a request; None for a caller's own."""
    mark = headers.get(REPLAY_HEADER)
    return None if mark is None else mark[:MAX_MARK].decode("latin-1")


def _rejected(*, again: bool) -> str:
    """Return what counts a refusal: what was sent again is no caller's."""
    return "replay_rejected" if again else "rejected"


def _parsed(ready: Ready, asked: Asked, content_type: str, schema: Schema) -> Parsed:
    """Read and type a body here."""
    if ready.strict_json:
        refuse_nan(asked.body)
    return asked.protocol.timed_parse(asked.body, content_type, schema)
