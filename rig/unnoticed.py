"""Callers who notice everything: an open loop that never tries again, with connections that lie idle for long.

Each request is sent when it is due, whether or not others have been answered, once and no second time. What comes back must
be the answer of the version that it names. A connection that the server closes while a request is on its way is a failure,
however the protocol allows it.
"""

from __future__ import annotations

import collections
import contextlib
import json
import random
import selectors
import socket
import threading
import time
from dataclasses import dataclass, field

PATIENCE_S = 30.0
IDLE_S = (5.0, 70.0)
"""Between two requests of a connection that is mostly idle."""


@dataclass(slots=True)
class Call:
    """One request and what became of it.

    Parameters
    ----------
    sent_s : float
        Monotonic.
    idle_s : float
        For how long its connection had been silent; 0 for a new one.
    took_s : float
    end : str
        ``200``, another status, or how it failed.
    version : str
        As the answer names it.
    """

    sent_s: float
    idle_s: float
    took_s: float = 0.0
    end: str = "open"
    version: str = ""


@dataclass(slots=True)
class _Connection:
    line: socket.socket
    idle: bool
    free_s: float
    value: float = 0.0
    call: Call | None = None
    came: bytes = b""
    closing: bool = False


@dataclass(slots=True)
class Unnoticed:
    """Callers in a thread of their own, for the length of a block.

    Parameters
    ----------
    port : int
    rate : float
        Requests a second.
    connections : int
        A quarter of them lies idle for 5 to 70 s between requests.
    """

    port: int
    rate: float = 50.0
    connections: int = 32
    seed: int = 1
    idle_s: tuple[float, float] = IDLE_S
    calls: list[Call] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    closed_idle: int = 0
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run, name="unnoticed", daemon=True)

    def __enter__(self) -> Unnoticed:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(PATIENCE_S + 5.0)

    def stop(self) -> None:
        """Send no more, though the block goes on."""
        self._over.set()

    @property
    def told(self) -> dict[str, int]:
        """How often what came of a request."""
        return dict(collections.Counter(call.end for call in self.calls))

    @property
    def versions(self) -> dict[str, int]:
        """How often which version answered."""
        return dict(collections.Counter(call.version for call in self.calls if call.version))

    @property
    def failed(self) -> list[Call]:
        """Requests without the answer that was due."""
        return [call for call in self.calls if call.end not in ("200", "open")]

    def until_served_by(self, version: str, *, seconds: float = 60.0, n: int = 5) -> float:
        """Wait until the newest answers are one version's; return when the last of another's had been asked for."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            ended = [call for call in self.calls[-50:] if call.version]
            if len(ended) >= n and all(call.version == version for call in ended[-n:]):
                others = (
                    call.sent_s for call in self.calls[::-1] if call.version not in ("", version)
                )
                return next(others, 0.0)
            time.sleep(0.01)
        raise AssertionError(f"{version} does not answer: {self.versions}")

    def _run(self) -> None:
        chance, ready = random.Random(self.seed), selectors.DefaultSelector()
        pool: list[_Connection] = []
        due = time.monotonic()
        while not self._over.is_set() or any(one.call for one in pool):
            now = time.monotonic()
            while due <= now and not self._over.is_set():
                due += chance.expovariate(self.rate)
                self._send(pool, ready, chance)
            for key, _ in ready.select(max(0.0, min(0.05, due - time.monotonic()))):
                self._hear(key.data, pool, ready)
            for one in [one for one in pool if one.call and _late(one.call)]:
                self._end(one, "no answer", pool, ready)
        for one in pool:
            one.line.close()

    def _send(
        self, pool: list[_Connection], ready: selectors.BaseSelector, chance: random.Random
    ) -> None:
        now = time.monotonic()
        free = [one for one in pool if one.call is None and one.free_s <= now]
        # The one that has been silent for the longest: it is what a server forgets.
        one = min(free, key=lambda each: (not each.idle, each.free_s), default=None)
        call = Call(now, 0.0 if one is None else now - one.free_s)
        if one is None:
            idle = sum(each.idle for each in pool) < self.connections / 4
            try:
                line = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
            except OSError as error:
                call.end = f"connect: {type(error).__name__}"
                self.calls.append(call)
                return
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line.setblocking(False)
            one = _Connection(line, idle, now)
            pool.append(one)
            ready.register(line, selectors.EVENT_READ, one)
        one.call, one.came, one.value = call, b"", chance.randint(1, 999) / 8
        self.calls.append(call)
        body = json.dumps({"dataframe_records": [{"a": one.value}]}).encode()
        head = (
            "POST /invocations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        one.free_s = now + (chance.uniform(*self.idle_s) if one.idle else 0.0)
        try:
            one.line.sendall(head.encode() + body)
        except OSError as error:
            self._end(one, f"send: {type(error).__name__}", pool, ready)

    def _hear(
        self, one: _Connection, pool: list[_Connection], ready: selectors.BaseSelector
    ) -> None:
        try:
            came = one.line.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(one, f"receive: {type(error).__name__}", pool, ready)
            return
        if not came:
            if one.call is None:
                self.closed_idle += not one.closing
            self._end(one, "closed without an answer", pool, ready)
            return
        one.came += came
        head, found, body = one.came.partition(b"\r\n\r\n")
        told = head.lower()
        length = int(told.partition(b"content-length:")[2].split(b"\r\n")[0] or 0) if found else 0
        if not found or len(body) < length or one.call is None:
            return
        call, one.call = one.call, None
        call.took_s, call.end = time.monotonic() - call.sent_s, head[9:12].decode()
        call.version = told.partition(b"x-shadowserve-model:")[2].split(b"\r\n")[0].strip().decode()
        if call.end == "200":
            factor = int(call.version.rpartition("/")[2])
            (value,) = json.loads(body)["predictions"]
            if abs(value - factor * one.value) > 1e-6 * one.value:
                self.wrong.append(f"{call.version} answered {value} for {one.value}")
        one.closing = b"connection: close" in told
        if one.closing:
            self._close(one, pool, ready)

    def _end(
        self, one: _Connection, how: str, pool: list[_Connection], ready: selectors.BaseSelector
    ) -> None:
        if one.call is not None:
            one.call.took_s, one.call.end = time.monotonic() - one.call.sent_s, how
            one.call = None
        self._close(one, pool, ready)

    def _close(
        self, one: _Connection, pool: list[_Connection], ready: selectors.BaseSelector
    ) -> None:
        with contextlib.suppress(KeyError, ValueError):
            ready.unregister(one.line)
        one.line.close()
        if one in pool:
            pool.remove(one)


def _late(call: Call) -> bool:
    return time.monotonic() - call.sent_s > PATIENCE_S
