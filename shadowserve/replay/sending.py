"""An open loop in one thread: each request is sent when it is due, whether or not the last answer has come.

There is always a connection that nobody waits at, up to a bound, so that a slow answer holds up no other request. A time
counts from when a request was to be sent: what waited for a target that hangs has waited (no coordinated omission). No
redirect is followed, and nothing is sent twice.
"""

from __future__ import annotations

import gc
import select
import selectors
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from shadowserve.replay.connection import Connection, Sendable
from shadowserve.replay.incoming import Incoming
from shadowserve.replay.target import Target

PIECE = 262_144
LOOK_S = 0.1
"""How often it is looked whether to stop."""
LATELY_S = 2.0
"""A connection that was idle for longer may be closed by the other side as it is used, so it is not used again."""
AT_ONCE = 64
"""Requests that are sent before answers are looked at again."""
LAST_S = 0.5
"""How long what is in flight is waited for once somebody wants to stop."""

REFUSED, RESET, CLOSED, TIMEOUT, UNREADABLE = "refused", "reset", "closed", "timeout", "unreadable"


class Feed(Protocol):
    """Where requests come from, in the order in which they are due."""

    @property
    def finished(self) -> bool:
        """Whether nothing is left, and nothing will come."""

    def peek(self) -> Sendable | None:
        """Return the next one; None while none is ready."""

    def pop(self) -> None:
        """Take it away."""


class Ended(NamedTuple):
    """What became of one request.

    Parameters
    ----------
    due_s, sent_s, ended_s : float
        Seconds from the beginning: when it was to be sent, was sent, and was answered or given up.
    status : int
        Of the answer; 0 where none came.
    why : str
        Why none came; empty where one did.
    body : bytes
        Of an answer that is no 200.
    """

    tag: object
    due_s: float
    sent_s: float
    ended_s: float
    status: int
    why: str = ""
    body: bytes = b""


@dataclass(slots=True)
class Bounds:
    """What a sender may take.

    Parameters
    ----------
    in_flight : int
        Requests that are not answered yet; what is due beyond waits, and the waiting counts.
    timeout_s : float
        How long after it was sent an answer is waited for.
    """

    in_flight: int = 256
    timeout_s: float = 30.0


class Sender:
    """Sends what a feed gives, and tells what became of each.

    Parameters
    ----------
    target : Target
    bounds : Bounds
    tell : callable
        Told each request's end.
    stopping : callable
        Asked a few times a second whether to stop.
    """

    def __init__(
        self,
        target: Target,
        bounds: Bounds,
        *,
        tell: Callable[[Ended], None],
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._target = target
        self._bounds = bounds
        self._tell = tell
        self._stopping = stopping
        self._selector = selectors.DefaultSelector()
        self._idle: list[Connection] = []
        self._busy: dict[Connection, None] = {}
        self._began = 0.0
        self.was_full = False
        """Whether a request was due while as many were in flight as may be."""

    def run(self, feed: Feed) -> float:
        """Send all that the feed gives; return how many seconds that took, answers waited for.

        When somebody wants to stop, nothing more is sent, and half a second later nothing is waited for: `left` tells
        how much was in flight.
        """
        with _undisturbed():
            self._began = time.perf_counter()
            stop_s: float | None = None
            look_s = 0.0
            while True:
                now = self._now()
                if now >= look_s:
                    look_s = now + LOOK_S
                    self._expire(now)
                    if stop_s is None and self._stopping():
                        stop_s = now + LAST_S
                due = None
                if stop_s is None:
                    due = self._send_due(feed)
                elif now >= stop_s:
                    break
                if not self._busy and (stop_s is not None or feed.finished):
                    break
                self._receive(look_s if due is None else min(due, look_s))
            return self._now()

    @property
    def left(self) -> int:
        """Requests in flight."""
        return len(self._busy)

    def close(self) -> None:
        """Hang up everywhere."""
        for one in [*self._idle, *self._busy]:
            self._hang_up(one)
        self._idle, self._busy = [], {}
        self._selector.close()

    def _now(self) -> float:
        return time.perf_counter() - self._began

    def _send_due(self, feed: Feed) -> float | None:
        """Send what is due; return when the next one is, None where that is not known or may not be sent."""
        for _ in range(AT_ONCE):
            request = feed.peek()
            if request is None:
                return self._now() + 0.001 if not feed.finished else None
            now = self._now()
            if request.due_s > now:
                return request.due_s
            if len(self._busy) >= self._bounds.in_flight:
                self.was_full = True
                return None
            feed.pop()
            self._send(request, now)
        return self._now()

    def _send(self, request: Sendable, now: float) -> None:
        connection = self._connection(now)
        connection.request, connection.sent_s = request, now
        connection.answer = Incoming()
        connection.rest = memoryview(request.data)
        self._busy[connection] = None
        self._push(connection)

    def _connection(self, now: float) -> Connection:
        while self._idle:
            found = self._idle.pop()
            if now - found.free_s < LATELY_S:
                return found
            self._hang_up(found)
        made = Connection(self._target)
        self._selector.register(made.socket, selectors.EVENT_READ, made)
        return made

    def _push(self, connection: Connection) -> None:
        try:
            out = connection.push()
        except OSError as error:
            refused = connection.connecting and not isinstance(error, ConnectionResetError)
            # What was answered before the whole body was read is still there to be read.
            if not refused and self._read(connection):
                return
            self._end(connection, 0, REFUSED if refused else RESET)
            return
        if out == connection.writing:
            connection.writing = not out
            wanted = selectors.EVENT_READ | (0 if out else selectors.EVENT_WRITE)
            self._selector.modify(connection.socket, wanted, connection)

    def _receive(self, until: float) -> None:
        pause = until - self._now()
        if pause > 0:
            _wait(self._selector, pause)
        for key, events in self._selector.select(0):
            connection: Connection = key.data
            if connection not in self._busy:
                if connection in self._idle:  # closed by the other side, or spoken to unasked
                    self._idle.remove(connection)
                    self._hang_up(connection)
                continue
            if events & selectors.EVENT_WRITE:
                self._push(connection)
            if events & selectors.EVENT_READ and connection in self._busy:
                self._read(connection)

    def _read(self, connection: Connection) -> bool:
        """Read what is there; say whether that was the request's end."""
        answer = connection.answer
        try:
            piece = connection.socket.recv(PIECE)
            whole = answer.take(piece) if piece else answer.ended()
        except BlockingIOError:
            return False
        except ValueError:
            self._end(connection, 0, UNREADABLE)
            return True
        except OSError:
            refused = connection.connecting
            self._end(connection, 0, REFUSED if refused else RESET)
            return True
        if whole:
            self._end(connection, answer.status, "")
        elif not piece:
            self._end(connection, 0, CLOSED)
        return whole or not piece

    def _expire(self, now: float) -> None:
        """Give up what was sent too long ago; the oldest lie first."""
        for connection in list(self._busy):
            if now - connection.sent_s < self._bounds.timeout_s:
                return
            self._end(connection, 0, TIMEOUT)

    def _end(self, connection: Connection, status: int, why: str) -> None:
        request, answer, now = connection.request, connection.answer, self._now()
        del self._busy[connection]
        if why or not answer.keeps or connection.rest:
            self._hang_up(connection)
        else:
            connection.free_s = now
            self._idle.append(connection)
        if request is not None:
            body = b"" if why or status == 200 else answer.body()
            self._tell(Ended(request.tag, request.due_s, connection.sent_s, now, status, why, body))

    def _hang_up(self, connection: Connection) -> None:
        with suppress(KeyError, ValueError):
            self._selector.unregister(connection.socket)
        connection.socket.close()


def _wait(selector: selectors.BaseSelector, seconds: float) -> None:
    """Wait for something to read or write: to the microsecond, where `selectors` has milliseconds."""
    place = getattr(selector, "fileno", None)
    if place is None:
        selector.select(seconds)
    else:
        select.select([place()], [], [], seconds)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let no garbage collection hold up what is due."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
