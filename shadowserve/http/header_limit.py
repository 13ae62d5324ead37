"""The limits on a request's head, in bytes and in seconds.

The fast parser under uvicorn keeps whatever has come of a header until it ends. A caller that never
ends one would fill the process's memory, and each further piece would hold up everybody else.
"""

from __future__ import annotations

import time
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shadowserve.errors import RequestError
from shadowserve.http.asgi import new_id
from shadowserve.http.exchange import Exchange, Taker
from shadowserve.http.known_heads import Known
from shadowserve.http.refusals import refusal

MAX_HEAD = 64 * 2**10
"""Bytes of a head, over the one piece that reaches it; h11, the other parser, has the same limit."""

PARTING_S = 1.0
"""How long idle connections are kept after a stop: a request may be on its way."""

PROTOCOL = "shadowserve.http.header_limit:BoundedHead"
"""As uvicorn finds it by name."""


class BoundedHead(HttpToolsProtocol):
    """uvicorn's protocol, which ends a connection that sends too much and gets no further.

    Getting further is the end of a head, a piece of a body, or the end of a request.
    """

    _further = False
    _in_vain = 0
    _since: float | None = None
    """Loop time since when a request's head is awaited; None in a request, and between two."""
    _idle_since: float | None = None
    """Loop time since when an exchange is over and nothing has come; uvicorn times its own cycles itself."""
    _between = True
    """Whether the next byte begins a request."""
    _parting: RequestError | None = None
    """What is said, once all that came before is answered, before the connection is closed."""
    _piece: bytes | None = None
    """What came in one piece, where a request could begin, until the end of one was read in it."""
    inherited: tuple[float, bool] | None = None
    """`standing` of a connection that another process had until now."""
    open: ClassVar[set[Any]] = set()
    short_way: ClassVar[Taker | None] = None
    """Who answers small requests without an application between."""

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        idle_s, fresh = self.inherited or (0.0, True)
        since = self.loop.time() - idle_s
        self._since, self._idle_since = (since, None) if fresh else (None, since)
        BoundedHead.open.add(self)

    def standing(self) -> tuple[float, bool] | None:
        """Return for how many seconds a connection has been idle, and whether it ever brought a request.

        None where somebody waits on it, where part of a request has been read, and where it is of no use to another
        process: what is encrypted is this one's secret, and what is unsent lies in its memory.
        """
        if not (self._between and self._is_free()) or self.pipeline or self._in_vain:
            return None
        if self.scheme != "http" or self.client is None or self._parting is not None:
            return None
        if self.flow.read_paused or self.transport.get_write_buffer_size():
            return None
        now, since, timer = self.loop.time(), self._since, self.timeout_keep_alive_task
        fresh = since is not None
        if since is None:
            since = self._idle_since
        if since is None:  # uvicorn times its own cycles itself
            since = now if timer is None else timer.when() - self.timeout_keep_alive
        return max(0.0, now - since), fresh

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        BoundedHead.open.discard(self)
        super().connection_lost(exc)
        if (exchange := self._awaited()) is not None:
            exchange.taker.gone(exchange)

    def data_received(self, data: bytes) -> None:
        """Take in bytes; answer 431 and hang up where too many of them lead nowhere."""
        self._idle_since = None
        taker, self._piece = BoundedHead.short_way, None
        if taker is not None and self._between and type(data) is bytes:
            found = taker.heads.find(data)
            if found is not None and self._is_free():
                self._again(taker, *found)
                return
            self._piece = data
        self._further = False
        super().data_received(data)
        # Counted over pieces: a head that comes byte by byte must not be without end.
        self._in_vain = 0 if self._further else self._in_vain + len(data)
        if self._in_vain > MAX_HEAD:
            self._refuse()

    def on_message_begin(self) -> None:
        """Note the beginning of a head."""
        super().on_message_begin()
        self._since = self.loop.time()
        self._between = False

    @classmethod
    def hasten(cls, seconds: float) -> None:
        """Hang up on callers whose head takes longer; to be called now and then, on the event loop."""
        # A copy, since hanging up changes the set.
        for one in list(cls.open):
            if one._since is not None and one._others_wait():
                # Nothing may be read meanwhile, so that the rest of the head may lie here unread.
                one._since = one.loop.time()
            elif one._since is not None and one.loop.time() - one._since > seconds:
                one.give_up(seconds)
            idle = one._idle_since
            if idle is not None and one.loop.time() - idle > one.timeout_keep_alive:
                one.timeout_keep_alive_handler()
            exchange = one._awaited()
            if exchange is not None and time.monotonic() - exchange.since_s > seconds:
                exchange.taker.late(exchange, seconds)

    def give_up(self, seconds: float) -> None:
        """Answer 408, and hang up."""
        self._since = None
        says = f"The request's head did not come within {seconds:g} s, the limit here."
        self._hang_up(RequestError(says, code="head_timeout", status=408))

    def shutdown(self) -> None:
        """Part with the caller: after the answer that it waits for, or for a request that is on its way."""
        # An idle connection may bring a request that was sent before its caller heard of the stop.
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(PARTING_S, self._part)
        else:
            super().shutdown()

    def _part(self) -> None:
        if not self.transport.is_closing():
            super().shutdown()

    def on_headers_complete(self) -> None:
        """Note the end of a head; a whole address in its first line says the host (RFC 9112, 3.2.2)."""
        self._further = True
        self._since = None
        # Proxies send the whole address, and its host goes before the header.
        if b"://" in self.url and not self.url.startswith(b"/"):
            self._take_host(self.url)
        if BoundedHead.short_way is None or not self._begin_exchange(BoundedHead.short_way):
            super().on_headers_complete()

    def _is_free(self) -> bool:
        """Whether nobody waits on this connection, to be answered or to be heard."""
        busy = self.cycle is not None and not self.cycle.response_complete
        return not (busy or self.flow.write_paused or self.transport.is_closing())

    def _again(self, taker: Taker, known: Known, body: bytes) -> None:
        """Take a whole request whose head came before: the parser stands between two and has no part in it."""
        self._since, self._in_vain = None, 0
        self._unset_keepalive_if_required()
        exchange = Exchange(self, taker, taker.again(known.claim), keep_alive=known.keep_alive)
        exchange.body, exchange.more_body = body, False
        self.cycle = exchange  # type: ignore[assignment]
        taker.whole(exchange)

    def _begin_exchange(self, taker: Taker) -> bool:
        """Begin an exchange in place of uvicorn's cycle, where nothing about the request is unusual."""
        if self.expect_100_continue or not self._is_free():
            return False
        parser = self.parser
        if parser.get_method() != b"POST" or parser.get_http_version() != "1.1":
            return False
        if parser.should_upgrade() or (claim := taker.claim(self.url, self.headers)) is None:
            return False
        self.cycle = Exchange(self, taker, claim, keep_alive=parser.should_keep_alive())  # type: ignore[assignment]
        return True

    def _awaited(self) -> Exchange | None:
        """Return the exchange whose body is still to come, if there is one."""
        cycle: Any = self.cycle
        return (
            cycle
            if type(cycle) is Exchange and cycle.more_body and not cycle.response_complete
            else None
        )

    def _take_host(self, url: bytes) -> None:
        host = url.partition(b"://")[2].partition(b"/")[0].partition(b"?")[0]
        self.headers[:] = [
            (b"host", host.rpartition(b"@")[2]),
            *(pair for pair in self.headers if pair[0] != b"host"),
        ]

    def on_body(self, body: bytes) -> None:
        """Note a piece of a body."""
        self._further = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note the end of a request."""
        self._further = True
        exchange, piece = self._awaited(), self._piece
        super().on_message_complete()
        # What was upgraded is no HTTP any more, and what follows the first request of a piece no head.
        self._between, self._piece = not self.parser.should_upgrade(), None
        if exchange is None:
            return
        # After a request that closes its connection the parser ignores what follows; it has to see it itself.
        if piece is not None and exchange.keep_alive:
            exchange.taker.heads.note(piece, exchange.body, exchange.claim, keep_alive=True)
        exchange.taker.whole(exchange)

    def on_response_complete(self) -> None:
        """Go on to what was sent ahead, or wait for the next request."""
        # A timer for each answer costs as much as writing it; idle connections are looked at in turn.
        cycle: Any = self.cycle
        lone = type(cycle) is Exchange and not self.pipeline and not self.flow.read_paused
        if not lone or self.transport.is_closing():
            super().on_response_complete()
            if self._parting is not None:
                self._hang_up(self._parting)
            return
        self.server_state.total_requests += 1
        self._idle_since = self.loop.time()

    def _refuse(self) -> None:
        says = f"The request's head is larger than {MAX_HEAD // 2**10} KiB, the limit here."
        self._hang_up(RequestError(says, code="head_too_large", status=431))

    def _others_wait(self) -> bool:
        """Whether an answer is due to a request before the one that is being read."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return False
        return not cycle.more_body or bool(self.pipeline)

    def _hang_up(self, error: RequestError) -> None:
        """Say what is wrong, in its turn, and close the connection; until then nothing more is read."""
        if self.transport.is_closing():
            return
        if self._others_wait():
            self._parting = error
            self.flow.pause_reading()
            return
        request_id = new_id()
        head = [(b"x-request-id", request_id.encode())]
        self.transport.write(refusal(error, request_id=request_id, head=head).raw())
        self.transport.close()
