"""Servers that answer as they should not: each connection is handed to a function, in a thread."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

Handle = Callable[[socket.socket], None]


@contextmanager
def misbehaving(handle: Handle) -> Iterator[int]:
    """Serve on a free port, which is yielded; what a handler leaves open is closed at the end."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    open_: list[socket.socket] = []
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):
                made, _ = listener.accept()
                open_.append(made)
                threading.Thread(target=_handled, args=(handle, made), daemon=True).start()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        over.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for one in open_:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        thread.join()


def _handled(handle: Handle, made: socket.socket) -> None:
    with contextlib.suppress(OSError, EOFError):
        handle(made)


def request_of(made: socket.socket) -> tuple[bytes, bytes]:
    """Read one whole request: head and body; raise EOFError where the caller has hung up."""
    came = b""
    while b"\r\n\r\n" not in came:
        came += _some(made)
    head, _, body = came.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += _some(made)
    return head, body


def _some(made: socket.socket) -> bytes:
    piece = made.recv(1 << 20)
    if not piece:
        raise EOFError
    return piece


def always(answer: bytes) -> Handle:
    """Return what gives one answer to every request, on a kept connection."""

    def handle(made: socket.socket) -> None:
        while True:
            request_of(made)
            made.sendall(answer)

    return handle


def reset(made: socket.socket) -> None:
    """Break a connection off as a process that dies does."""
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    made.close()
