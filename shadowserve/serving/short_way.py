"""The short way of a scoring request: from the connection to the champion and back, on the event loop.

It takes what is usual: a small body of a stated length, asked for by a path as it is written. All else,
and all that is refused before its body is read, goes through the data plane's application. Both ways
read, type, count and refuse by the same handler.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from shadowserve.http.admission import Admission
from shadowserve.http.asgi import SMALL_BODY, Head, body_timeout, request_id_of
from shadowserve.http.exchange import Exchange
from shadowserve.http.known_heads import KnownHeads
from shadowserve.serving.champion import Overloaded
from shadowserve.serving.handler import Asked, ScoringHandler
from shadowserve.serving.work import Served
from shadowserve.state.counters import Counters
from shadowserve.wire.protocol import Protocol

_UNUSUAL = frozenset(
    {b"content-encoding", b"inference-header-content-length", b"transfer-encoding"}
)
_LONGEST_LENGTH = 9
"""Digits of a content length; what is longer is not small."""


@dataclass(slots=True)
class _Claim:
    """What is known of a request once its head is there; `given` is the id that its caller gave it."""

    protocol: Protocol
    headers: Mapping[bytes, bytes]
    given: bytes | None
    request_id: str
    arrived_ns: tuple[int, int]


class _Reply:
    """Where a request's end is awaited: whoever sets it has answered."""

    __slots__ = ("_ended", "_way", "exchange")

    def __init__(self, way: ShortWay, exchange: Exchange) -> None:
        self._way = way
        self.exchange = exchange
        self._ended = False

    def done(self) -> bool:
        """Whether it has been answered."""
        return self._ended

    def set_result(self, served: Served) -> None:
        """Answer; to be called on the event loop, once."""
        self._ended = True
        self._way.deliver(self.exchange, served)


class ShortWay:
    """Takes exchanges to the champion; those that came in one turn of the loop go in line together.

    Parameters
    ----------
    handler : ScoringHandler
        Reads, types, counts and refuses.
    admission : Admission
        Lets callers in.
    counters : Counters
        This worker's counts.
    max_body : int
        Bytes; a larger body is refused by the application.

    Attributes
    ----------
    prefix : str
        What stands before each path outside; to be set before `open`.
    """

    def __init__(
        self,
        handler: ScoringHandler,
        admission: Admission,
        *,
        counters: Counters,
        max_body: int,
    ) -> None:
        self._handler = handler
        self._admission = admission
        self._counters = counters
        self._most = min(max_body, SMALL_BODY)
        self.prefix = ""
        self.heads = KnownHeads()
        self._routes: dict[bytes, tuple[str, Protocol]] = {}
        self._line: list[Asked] = []

    def open(self, routes: Mapping[str, Protocol]) -> None:
        """Begin to take what asks for these paths."""
        self.heads.open()
        self._routes = {
            f"{self.prefix}{path}".encode(): (path, protocol) for path, protocol in routes.items()
        }

    def close(self) -> None:
        """Leave all that comes to the application."""
        self.heads.close()
        self._routes = {}

    def claim(self, url: bytes, headers: Head) -> _Claim | None:
        """Return what is known of a request; None to leave it to the application."""
        # By the bytes as they were written: an escaped path or a query takes the long way.
        path, protocol = self._routes.get(url, ("", None))
        if protocol is None:
            return None
        told = dict(headers)
        length, given = told.get(b"content-length", b""), told.get(b"x-request-id")
        if not (length.isdigit() and len(length) <= _LONGEST_LENGTH and int(length) <= self._most):
            return None
        # uvicorn answers a 500 where a header cannot be sent back as it came.
        if not _UNUSUAL.isdisjoint(told) or not (given is None or _is_plain(given)):
            return None
        asked = {"headers": headers, "method": "POST", "path": path}
        if self._admission.why_not(asked) is not None:
            return None
        return self._claimed(protocol, told, given)

    def again(self, claim: _Claim) -> _Claim:
        """Claim a request whose head is, byte for byte, that of an earlier one."""
        return self._claimed(claim.protocol, claim.headers, claim.given)

    def _claimed(
        self, protocol: Protocol, headers: Mapping[bytes, bytes], given: bytes | None
    ) -> _Claim:
        self._counters.add("in_hand")
        arrived_ns = time.time_ns(), time.monotonic_ns()
        return _Claim(protocol, headers, given, request_id_of(given), arrived_ns)

    def whole(self, exchange: Exchange) -> None:
        """Note a request whose body has come; it is typed and goes in line with its neighbours."""
        claim: _Claim = exchange.claim
        self._line.append(
            Asked(
                claim.protocol,
                claim.headers,
                bytes(exchange.body),
                claim.request_id,
                claim.arrived_ns,
                _Reply(self, exchange),
            )
        )
        if len(self._line) == 1:  # at the end of this turn, in which others may still come
            exchange.connection.loop.call_soon(self._submit)

    def gone(self, exchange: Exchange) -> None:
        """Count a caller that left before its body had come."""
        exchange.response_complete = True
        self._counters.add("client_gone")
        self._counters.add("in_hand", -1)

    def late(self, exchange: Exchange, seconds: float) -> None:
        """Refuse a request whose body does not come."""
        self._refuse(exchange, body_timeout(seconds))
        exchange.more_body = False

    def deliver(self, exchange: Exchange, served: Served) -> None:
        """Answer a request that the champion has ended."""
        protocol: Protocol = exchange.claim.protocol
        try:
            if exchange.disconnected:
                self._handler.count(served, gone=True)
                return
            self._handler.count(served)
            usual = self._handler.usual_head(served) if exchange.keep_alive else None
            if usual is None:
                exchange.answer(*self._handler.answer_of(protocol, served))
            else:
                exchange.answer_usual(served.work.request_id, usual, served.body)
            self._handler.observe(served)
        except BaseException as error:  # nobody else of the batch waits for this one's fault
            self._handler.tell_broken(served.work.request_id, error)
            # A caller must not wait for an answer that will not come.
            exchange.connection.transport.close()
        finally:
            self._counters.add("in_hand", -1)

    def _submit(self) -> None:
        line, self._line = self._line, []
        works, refused = [], []
        for asked, end in zip(line, self._handler.works_of(line), strict=True):
            if not isinstance(end, BaseException):
                works.append(end)
            elif type(asked.done) is _Reply:
                refused.append((asked, asked.done.exchange, end))
        for work in self._handler.submit(works) if works else ():
            done = work.done
            if type(done) is _Reply:
                self._refuse(done.exchange, Overloaded())
        for asked, exchange, end in refused:
            self._refuse(exchange, end)
            # After the answer: no caller waits for what only challengers use.
            self._handler.keep(asked.protocol, asked.headers, asked.body, end)

    def _refuse(self, exchange: Exchange, error: BaseException) -> None:
        claim: _Claim = exchange.claim
        try:
            told = self._handler.refusal_of(claim.protocol, claim.request_id, error, claim.headers)
            exchange.answer(*told)
        except BaseException as fault:  # nobody else of the turn waits for this one's fault
            self._handler.tell_broken(claim.request_id, fault)
            exchange.connection.transport.close()
        finally:
            self._counters.add("in_hand", -1)


def _is_plain(value: bytes) -> bool:
    return value.isascii() and value.decode("ascii").isprintable()
