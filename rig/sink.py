"""A server that only takes requests: what came, when and byte for byte, and answers at once or as one that is busy.

    python -m rig.sink PORT FILE --service-ms 10

It prints a line once it listens, and on SIGTERM writes what came to FILE: a line of JSON a request, with the monotonic
time of its last byte (ns), the path, the mark and content type, and the body's digest.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 19\r\n\r\n"
    + b'{"predictions":[1]}'
)
METRICS = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


class Sink:
    """The server's loop."""

    def __init__(self, port: int, *, service_s: float) -> None:
        self._service_s = service_s
        self._free_s = 0.0
        self._waiting: deque[tuple[float, socket.socket]] = deque()
        self._came: dict[socket.socket, bytearray] = {}
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self.seen: list[tuple[int, bytes, bytes]] = []
        self.over = False

    def run(self) -> None:
        """Serve until told to stop."""
        while not self.over:
            pause = 0.1
            if self._waiting:
                pause = max(0.0, min(pause, self._waiting[0][0] - time.monotonic()))
            for key, _ in self._selector.select(pause):
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._read(key.fileobj)
            while self._waiting and self._waiting[0][0] <= time.monotonic():
                self._answer(self._waiting.popleft()[1], ANSWER)

    def _accept(self) -> None:
        made, _ = self._listener.accept()
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._came[made] = bytearray()
        self._selector.register(made, selectors.EVENT_READ)

    def _read(self, one: Any) -> None:
        try:
            piece = one.recv(262_144)
        except OSError:
            piece = b""
        if not piece:
            self._selector.unregister(one)
            del self._came[one]
            one.close()
            return
        came = self._came[one]
        came += piece
        end = came.find(b"\r\n\r\n")
        if end < 0:
            return
        if came.startswith(b"GET"):
            came.clear()
            self._answer(one, METRICS)
            return
        length = int(came[:end].lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(came) < end + 4 + length:
            return
        self.seen.append((time.monotonic_ns(), bytes(came[:end]), bytes(came[end + 4 :])))
        came.clear()
        if not self._service_s:
            self._answer(one, ANSWER)
            return
        self._free_s = max(self._free_s, time.monotonic()) + self._service_s
        self._waiting.append((self._free_s, one))

    def _answer(self, one: socket.socket, answer: bytes) -> None:
        try:
            one.send(answer)
        except OSError:
            return

    def told(self) -> Iterator[dict[str, Any]]:
        """Yield what came."""
        for at_ns, head, body in self.seen:
            first, *rest = head.decode("latin-1").split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (one.partition(":") for one in rest)}
            yield {
                "at_ns": at_ns,
                "path": first.split(" ")[1],
                "mark": headers.get("x-shadowserve-replay"),
                "content_type": headers.get("content-type", ""),
                "digest": hashlib.blake2b(body, digest_size=16).hexdigest(),
            }


class Came:
    """A sink in a process of its own, and what came to it once it has ended."""

    def __init__(self, port: int, file: Path) -> None:
        self.port = port
        self._file = file
        self.seen: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def read(self) -> None:
        """Read what it wrote down."""
        self.seen = [json.loads(one) for one in self._file.read_text().splitlines()]


@contextmanager
def sink(port: int, file: Path, *, service_ms: float = 0.0) -> Iterator[Came]:
    """Run a sink; what came is there afterwards."""
    command = [
        sys.executable,
        "-m",
        "rig.sink",
        str(port),
        str(file),
        "--service-ms",
        str(service_ms),
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    came = Came(port, file)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield came
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
    came.read()


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("file", type=Path)
    parser.add_argument("--service-ms", type=float, default=0.0)
    asked = parser.parse_args()
    served = Sink(asked.port, service_s=asked.service_ms / 1e3)

    def stop(_number: int, _frame: object) -> None:
        served.over = True

    signal.signal(signal.SIGTERM, stop)
    print("listening", flush=True)
    served.run()
    with asked.file.open("w") as file:
        for one in served.told():
            file.write(json.dumps(one) + "\n")


if __name__ == "__main__":
    main()
