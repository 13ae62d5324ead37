"""Idle connections change hands, and no caller notices; what is not idle stays where it is."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn

from shadowserve.http.header_limit import BoundedHead
from shadowserve.http.heirs import Heir, pass_on

ASKED = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nok"


class Server:
    """A server with the protocol on a thread and loop of its own, which says its name."""

    def __init__(self, name: str, loop: str) -> None:
        self.name, self.hold = name, threading.Event()
        self.callers: list[socket.socket] = []
        self.hold.set()
        config = uvicorn.Config(
            self._app,
            port=0,
            http=BoundedHead,
            log_config=None,
            lifespan="off",
            loop=loop,
            interface="asgi3",
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run)

    async def _app(self, scope, receive, send):
        self.loop = asyncio.get_running_loop()
        await receive()
        while not self.hold.is_set():
            await asyncio.sleep(0.001)
        body = self.name.encode()
        head = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})

    @property
    def port(self) -> int:
        return self.server.servers[0].sockets[0].getsockname()[1]

    def run(self, call):
        """Call something on its loop, and return what came of it."""

        async def called():
            return call()

        return asyncio.run_coroutine_threadsafe(called(), self.loop).result(30)

    def protocol(self) -> BoundedHead:
        return self.server.config.http_protocol_class(
            config=self.server.config, server_state=self.server.server_state, app_state={}
        )


@pytest.fixture(params=["asyncio", "uvloop"])
def two(request) -> Iterator[tuple[Server, Server]]:
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    former, heir = Server("former", request.param), Server("heir", request.param)
    try:
        for one in (former, heir):
            one.thread.start()
            while not one.server.started:
                pass
            assert told(connected(one)) == one.name  # so that its loop is known
            one.callers.pop().close()
        yield former, heir
    finally:
        for one in (former, heir):
            one.hold.set()
            for line in one.callers:
                line.close()
            one.server.should_exit = True
            one.thread.join()


def connected(one: Server) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", one.port), timeout=30)
    one.callers.append(line)
    return line


def told(line: socket.socket, asked: bytes = ASKED) -> str:
    line.sendall(asked)
    return answer(line)


def answer(line: socket.socket) -> str:
    came = b""
    while b"\r\n\r\n" not in came or not came.partition(b"\r\n\r\n")[2]:
        piece = line.recv(4096)
        assert piece, "hung up on"
        came += piece
    return came.partition(b"\r\n\r\n")[2].decode()


@contextlib.contextmanager
def line_between(former: Server, heir: Server) -> Iterator[socket.socket]:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    left.setblocking(False)
    heir.run(lambda: Heir(right, heir.protocol))
    with left:
        yield left


def test_idle_connections_go_on_at_the_heir_and_new_ones_too(two):
    former, heir = two
    used, fresh = connected(former), connected(former)
    assert told(used) == "former"
    with line_between(former, heir) as line:
        passed = 0
        while passed < 2:  # the fresh one has to be accepted first
            passed += former.run(lambda: sum_of(former, line))
        assert [told(used), told(fresh), told(used)] == ["heir"] * 3


def sum_of(former: Server, line: socket.socket) -> int:
    """Pass on what is the former's own: in this test both live in one process."""
    others = {one for one in BoundedHead.open if one.connections is not former_connections(former)}
    BoundedHead.open -= others
    try:
        return pass_on(line)
    finally:
        BoundedHead.open |= others


def former_connections(former: Server) -> set:
    return former.server.server_state.connections


def test_bytes_that_nobody_has_read_yet_are_read_by_the_heir(two):
    former, heir = two
    used = connected(former)
    assert told(used) == "former"
    with line_between(former, heir) as line:

        def send_and_pass() -> int:
            used.sendall(ASKED)  # it lies in the kernel while the loop is here
            return sum_of(former, line)

        assert former.run(send_and_pass) == 1
        assert answer(used) == "heir"


@pytest.mark.parametrize("sent", [b"P", b"POST / HTTP/1.1\r\nhost", ASKED[:-1], ASKED, b"\r\n"])
def test_a_request_that_has_begun_is_ended_where_it_began(two, sent):
    former, heir = two
    used = connected(former)
    assert told(used) == "former"
    former.hold.clear()
    with line_between(former, heir) as line:
        used.sendall(sent)
        while sum_of_started(former) == 0:
            pass
        assert former.run(lambda: sum_of(former, line)) == 0
        used.sendall(ASKED[len(sent) :] if sent != b"\r\n" else ASKED)
        former.hold.set()
        assert answer(used) == "former"
        while not former.run(lambda: sum_of(former, line)):
            pass
        assert told(used) == "heir"


def sum_of_started(former: Server) -> int:
    """How many of its connections stand somewhere in a request."""
    return former.run(lambda: sum(one.standing() is None for one in former_connections(former)))


def test_how_long_it_has_been_idle_goes_along(two):
    former, heir = two
    used = connected(former)
    assert told(used) == "former"

    def age() -> None:
        (one,) = former_connections(former) & BoundedHead.open
        one.timeout_keep_alive_task.cancel()
        one.timeout_keep_alive_task, one._idle_since = None, one.loop.time() - 3.0

    former.run(age)
    with line_between(former, heir) as line:
        assert former.run(lambda: sum_of(former, line)) == 1
        while not former_connections(heir):
            pass
        ((idle_s, fresh),) = heir.run(lambda: [one.standing() for one in former_connections(heir)])
        assert idle_s >= 3.0
        assert not fresh


def test_where_nobody_takes_it_a_connection_stays(two):
    former, _ = two
    used = connected(former)
    assert told(used) == "former"
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    right.close()
    with left:
        assert former.run(lambda: sum_of(former, left)) == 0
    assert told(used) == "former"


def test_what_hung_up_meanwhile_is_no_harm(two):
    former, heir = two
    used = connected(former)
    assert told(used) == "former"
    with line_between(former, heir) as line:

        def hang_up_and_pass() -> int:
            used.close()
            return sum_of(former, line)

        assert former.run(hang_up_and_pass) == 1
        other = connected(former)
        assert told(other) == "former"
        while not former.run(lambda: sum_of(former, line)):
            pass
        assert told(other) == "heir"
