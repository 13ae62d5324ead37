"""The benchmarks' client counts what a server answered, keeps its connections equal, and tells errors."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.client import drive

BODIES = [b'{"rows": 1}', b'{"rows": 22}', b'{"rows": 333}']
Tell = Callable[[int, bytes], bytes]


class Scripted:
    """A server that answers its n-th request with the bytes that it is told; no bytes: it hangs up."""

    def __init__(self, tell: Tell) -> None:
        self.seen: list[bytes] = []
        self.by_connection: list[int] = []
        self._tell = tell

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = len(self.by_connection)
        self.by_connection.append(0)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length:")[2].split()[0])
                body = await reader.readexactly(length)
                self.seen.append(body)
                told = self._tell(len(self.seen), body)
                if not told:
                    return
                self.by_connection[own] += 1
                for at in range(0, len(told), 7):  # answers come in pieces, cut anywhere
                    writer.write(told[at : at + 7])
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    @contextmanager
    def serving(self) -> Iterator[str]:
        loop = asyncio.new_event_loop()
        server = loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/ask"
        finally:
            loop.call_soon_threadsafe(server.close)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0.01))
            loop.close()


def ok(body: bytes, status: str = "200 OK", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


def test_as_many_are_counted_as_the_server_saw_and_bodies_are_cycled() -> None:
    server = Scripted(lambda _n, body: ok(body))
    with server.serving() as url:
        told = drive(url, BODIES, clients=4, requests=30)
    assert told["requests"] == len(server.seen) == 30
    assert told["statuses"] == {200: 30}
    assert told["errors"] == 0
    assert sorted(server.seen) == sorted(BODIES * 10)


def test_no_connection_is_served_twice_while_another_waits() -> None:
    server = Scripted(lambda _n, body: ok(body))
    with server.serving() as url:
        told = drive(url, BODIES, clients=16, requests=1_600)
    assert len(server.by_connection) == 16
    assert told["least"] == min(server.by_connection)
    assert told["least"] >= 0.8 * told["most"]


def test_other_statuses_are_errors_and_no_answers() -> None:
    server = Scripted(
        lambda n, body: ok(body, "503 Service Unavailable" if n % 3 == 0 else "200 OK")
    )
    with server.serving() as url:
        told = drive(url, BODIES, clients=2, requests=30)
    assert told["statuses"] == {200: 20, 503: 10}
    assert told["errors"] == 10


def test_a_connection_cut_off_is_an_error_and_is_opened_anew() -> None:
    server = Scripted(lambda n, body: b"" if n == 5 else ok(body))
    with server.serving() as url:
        told = drive(url, BODIES, clients=1, requests=10)
    assert told["statuses"] == {200: 9, 0: 1}
    assert told["errors"] == 1
    assert len(server.by_connection) == 2


def test_a_server_that_closes_after_each_answer_loses_none() -> None:
    server = Scripted(lambda _n, body: ok(body, more="Connection: close\r\n"))
    with server.serving() as url:
        told = drive(url, BODIES, clients=1, requests=5)
    assert told["statuses"] == {200: 5}
    assert max(server.by_connection) == 1
    assert len(server.by_connection) >= 5


def test_without_an_answer_of_200_there_is_no_rate_and_no_time() -> None:
    server = Scripted(lambda _n, body: ok(body, "500 Oops"))
    with server.serving() as url:
        told = drive(url, BODIES, clients=1, requests=3)
    assert told["rps"] == 0
    assert math.isnan(told["p50_ms"])
