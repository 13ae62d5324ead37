"""A head is bounded, on any parser state; what leads further is never cut off."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn

from shadowserve.http.header_limit import MAX_HEAD, BoundedHead

GOOD = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nok"
LAST = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
PIECE = 16 * 2**10
FAR = 4 * MAX_HEAD


async def echo(scope, receive, send):
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    body = str(size).encode()
    hosts = b"|".join(value for name, value in scope["headers"] if name == b"host")
    head = [(b"content-length", str(len(body)).encode()), (b"x-hosts", hosts)]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})


@contextlib.contextmanager
def serving(app: Any = echo) -> Iterator[uvicorn.Server]:
    """A server with the protocol, on a thread of its own."""
    config = uvicorn.Config(
        app, port=0, http=BoundedHead, log_config=None, lifespan="off", loop="asyncio"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        pass
    try:
        yield server
    finally:  # else a test that fails keeps the interpreter from ending
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving() as server:
        yield server.servers[0].sockets[0].getsockname()[1]


def told(port: int, start: bytes, endless: bytes = b"", end: bytes = b"") -> list[bytes]:
    """Send a start, up to `FAR` bytes of something, and an end; return the answers until hung up on."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as caller:
        with contextlib.suppress(ConnectionError):  # hung up on; what was said lies ready
            caller.sendall(start)
            for _ in range(FAR // PIECE if endless else 0):
                caller.sendall(endless * (PIECE // len(endless)))
            caller.sendall(end)
        answers = bytearray()
        with contextlib.suppress(ConnectionError):
            while more := caller.recv(2**16):
                answers += more
    return bytes(answers).split(b"HTTP/1.1 ")[1:]


@pytest.mark.parametrize(
    ("start", "endless"),
    [
        (b"POST / HTTP/1.1\r\nhost: x\r\nx-a: ", b"a"),
        (b"POST / HTTP/1.1\r\nhost: x\r\n", b"x-a: aaaaaaaaa\r\n"),
        (b"POST /", b"a"),
        (b"POST / HTTP/1.1\r\nhost: x\r\n" + b"n" * 10, b"n"),
        (GOOD + b"GET / HTTP/1.1\r\nx-a: ", b"a"),
        (
            b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nx-a: ",
            b"a",
        ),
    ],
    ids=["a long value", "many headers", "a long path", "a long name", "the second", "a trailer"],
)
def test_a_head_without_end_is_answered_and_hung_up_on(port, start, endless):
    answers = told(port, start, endless)
    assert answers[-1].startswith(b"431 ")
    head, _, body = answers[-1].partition(b"\r\n\r\n")
    error = json.loads(body)["error"]
    assert error["code"] == "head_too_large"
    assert f"x-request-id: {error['request_id']}".encode() in head


HEAD = b"POST / HTTP/1.1\r\nhost: x\r\n"


@pytest.mark.parametrize(
    ("start", "endless", "end", "sizes"),
    [
        (GOOD * 2000, b"", b"", [2] * 2000),
        (HEAD + b"x-a: " + b"a" * 30_000 + b"\r\n\r\n", b"", b"", [0]),
        (HEAD + b"content-length: %d\r\n\r\n" % FAR, b"b", b"", [FAR]),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n", [98_304]),
    ],
    ids=["pipelined", "a long head", "a long body", "many small chunks"],
)
def test_what_leads_further_is_answered(port, start, endless, end, sizes):
    answers = told(port, start, endless, end + LAST)
    assert all(answer.startswith(b"200 ") for answer in answers)
    assert [int(answer.partition(b"\r\n\r\n")[2]) for answer in answers] == [*sizes, 0]


@pytest.mark.parametrize("target", [b"http://evil.example:80/x", b"HTTP://u@evil.example:80/?q"])
@pytest.mark.parametrize("host", [b"host: localhost\r\n", b"host: a\r\nhost: b\r\n", b""])
def test_a_whole_address_as_target_says_the_host(port, target, host):
    """Whatever the header says; who is let in is decided by what was asked for."""
    (answer,) = told(port, b"GET %s HTTP/1.1\r\n%sconnection: close\r\n\r\n" % (target, host))
    assert b"x-hosts: evil.example:80\r\n" in answer


def answered(caller):
    """Read one answer of the echo, whose body is one digit; return its status."""
    came = bytearray()
    while not (came.partition(b"\r\n\r\n")[2] and b"\r\n\r\n" in came):
        came += caller.recv(1)
    return int(came.split(b" ")[1])


def test_a_caller_whose_head_does_not_come_is_hung_up_on_and_others_are_not(port):
    """Also one that sends nothing at all, or a piece now and then."""
    with contextlib.ExitStack() as stack:
        silent, halfway, idle = (
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            for _ in range(3)
        )
        halfway.sendall(b"POST / HTTP/1.1\r\nhost: ")
        idle.sendall(GOOD)
        assert answered(idle) == 200
        while sum(one._since is not None for one in list(BoundedHead.open)) < 2:
            pass
        (loop,) = {one.loop for one in list(BoundedHead.open)}
        loop.call_soon_threadsafe(BoundedHead.hasten, 0.0)
        for late in (silent, halfway):
            said = late.recv(2**16)
            assert said.startswith(b"HTTP/1.1 408")
            assert b"head_timeout" in said
            assert late.recv(1) == b""
        idle.sendall(LAST)
        assert answered(idle) == 200


def test_a_request_that_is_on_its_way_at_a_stop_is_answered():
    """An idle connection is not closed in the face of a request."""
    with serving() as server:
        listening = server.servers[0]
        where = listening.sockets[0].getsockname()
        with socket.create_connection(where, timeout=20) as caller:
            caller.sendall(GOOD)
            assert answered(caller) == 200
            server.should_exit = True
            while listening.is_serving():
                pass
            caller.sendall(LAST)
            assert answered(caller) == 200


@contextlib.contextmanager
def held_back(sent: bytes) -> Iterator[tuple[socket.socket, Callable[[], list[int]]]]:
    """Send what begins with a request; give the caller, and what lets it be answered and reads statuses."""
    begun, go_on = threading.Event(), threading.Event()

    async def held(scope, receive, send):
        begun.set()
        while not go_on.is_set():
            await asyncio.sleep(0)
        await echo(scope, receive, send)

    def statuses() -> list[int]:
        go_on.set()
        came = bytearray()
        with contextlib.suppress(ConnectionError):
            while more := caller.recv(2**16):
                came += more
        return [int(answer[:3]) for answer in bytes(came).split(b"HTTP/1.1 ")[1:]]

    with serving(held) as server:
        where = server.servers[0].sockets[0].getsockname()
        with socket.create_connection(where, timeout=20) as caller:
            caller.sendall(sent)
            assert begun.wait(20)
            try:
                yield caller, statuses
            finally:
                go_on.set()


def hastened(seconds: float) -> None:
    """Have the only connection looked at."""
    (one,) = BoundedHead.open
    looked = threading.Event()

    def look() -> None:
        BoundedHead.hasten(seconds)
        looked.set()

    one.loop.call_soon_threadsafe(look)
    assert looked.wait(20)


@pytest.mark.parametrize("ahead", [1, 3])
def test_a_head_that_waits_behind_answers_has_its_time_once_they_are_given(ahead):
    """The server reads no further meanwhile: what is late may lie at its own door."""
    with held_back(GOOD * ahead + b"POST / HTTP/1.1\r\nhost: ") as (caller, statuses):
        hastened(0.0)
        caller.sendall(b"x\r\nconnection: close\r\n\r\n")
        assert statuses() == [200] * ahead + [200]


@pytest.mark.parametrize(
    "begun",
    [b"POST / HTTP/1.1\r\nx-a: ", HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\nx-a: "],
    ids=["a head", "a trailer"],
)
@pytest.mark.parametrize("ahead", [1, 3])
def test_a_head_without_end_never_takes_the_place_of_an_answer_that_is_due(ahead, begun):
    with held_back(GOOD * ahead + begun) as (caller, statuses):
        sending = threading.Thread(target=endlessly, args=(caller,))
        sending.start()
        assert statuses() == [200] * ahead + [431]
        sending.join()


def endlessly(caller: socket.socket) -> None:
    """Send more of a head than is taken; until hung up on."""
    with contextlib.suppress(ConnectionError):
        caller.sendall(b"a" * FAR)
