"""A receiver of webhooks on a real socket, which takes what comes or misbehaves in the ways that receivers do."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

Answer = Callable[[socket.socket], None]


def status(code: int, *head: str, body: bytes = b"ok") -> Answer:
    """Answer with a status."""

    def answer(caller: socket.socket) -> None:
        lines = [f"HTTP/1.1 {code} Said", f"Content-Length: {len(body)}", *head, "", ""]
        caller.sendall("\r\n".join(lines).encode() + body)

    return answer


def hang(caller: socket.socket) -> None:
    """Say nothing for as long as the caller waits."""
    with contextlib.suppress(OSError):
        caller.settimeout(60)
        caller.recv(1)


def reset(caller: socket.socket) -> None:
    """End the connection with a reset."""
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def drip(caller: socket.socket) -> None:
    """Answer a byte at a time, so that no single wait is long."""
    with contextlib.suppress(OSError):
        for byte in b"HTTP/1.1 " + b" " * 50_000:
            caller.sendall(bytes([byte]))
            time.sleep(0.05)


def endless_body(caller: socket.socket) -> None:
    """Take it, and answer without end."""
    with contextlib.suppress(OSError):
        caller.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            caller.sendall(b"x" * 65_536)


def endless_head(caller: socket.socket) -> None:
    """Answer with headers without end."""
    with contextlib.suppress(OSError):
        caller.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            caller.sendall(b"X-More: " + b"x" * 1_000 + b"\r\n")


def endless_continue(caller: socket.socket) -> None:
    """Ask for more without end."""
    with contextlib.suppress(OSError):
        while True:
            caller.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


def no_http(caller: socket.socket) -> None:
    """Speak another protocol."""
    caller.sendall(b"220 mail.example ESMTP\r\n")


class Receiver:
    """Listens on a free port of this machine until it is closed.

    Parameters
    ----------
    answer : callable
        What it does with each caller; may be changed while it runs.

    Attributes
    ----------
    received : list of (dict of headers, body)
        Each request in order, whatever was answered.
    """

    def __init__(self, answer: Answer | None = None) -> None:
        self.answer = answer or status(200)
        self.received: list[tuple[dict[str, str], Any]] = []
        self.paths: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open = True
        threading.Thread(target=self._run, daemon=True).start()

    def __enter__(self) -> Receiver:
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        self._listener.close()

    @property
    def url(self) -> str:
        """Its address, with a path that holds a secret."""
        return f"http://127.0.0.1:{self.port}/hooks/s3cret?key=s3cret"

    def bodies(self) -> list[Any]:
        """What was posted, read as JSON."""
        return [body for _, body in self.received]

    def wait(self, n: int, *, seconds: float = 60.0) -> None:
        """Wait until so many requests have come; it fails where they do not."""
        until = time.monotonic() + seconds
        while len(self.received) < n:
            assert time.monotonic() < until, f"{len(self.received)} of {n} came"
            time.sleep(0.02)

    def _run(self) -> None:
        while self._open:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(caller,), daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        with caller, contextlib.suppress(OSError, ValueError, LookupError):  # what came is no HTTP
            raw = caller.makefile("rb")
            path = raw.readline().split()[1].decode()
            head = {}
            while (text := raw.readline().strip()) != b"":
                name, _, value = text.decode().partition(": ")
                head[name.lower()] = value
            body = json.loads(raw.read(int(head.get("content-length", "0"))) or b"null")
            self.paths.append(path)
            self.received.append((head, body))
            self.answer(caller)
