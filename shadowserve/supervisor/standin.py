"""Who answers while no champion worker does: at once, with a 503, instead of letting callers wait.

A worker that died takes seconds to be replaced, and its socket, which the supervisor holds, goes on
taking connections. Until a worker accepts again they are answered here.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
import uuid
from collections.abc import Callable

from shadowserve.counters import Counters

STAND_IN = 999
"""The stand-in's number among the workers' counters."""
LOOK_S = 0.05
PATIENCE_S = 0.5
MAX_READ = 1 << 20
_ALIVE = (b"/livez", b"/v2/health/live")
_BUSY = "No worker is there to answer. It is being replaced; try again in a second."


class StandIn:
    """Answers on the data plane's socket while it is needed, on a thread of its own.

    Parameters
    ----------
    listener : socket
        The data plane's.
    needed : callable
        Whether no worker accepts now.
    label : callable
        Names the served version.
    counters : Counters
        Where each refusal is counted as ``overloaded``.
    """

    def __init__(
        self,
        listener: socket.socket,
        *,
        needed: Callable[[], bool],
        label: Callable[[], str],
        counters: Counters,
    ) -> None:
        self._listener = listener
        self._needed = needed
        self._label = label
        self._counters = counters
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stand-in", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stand in no longer; before the socket is closed."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(0 if self._needed() else LOOK_S):
            if self._waiting() and self._needed():
                with contextlib.suppress(OSError):  # a worker was quicker, or the caller left
                    caller, _ = self._listener.accept()
                    with caller:
                        self._answer(caller)

    def _waiting(self) -> bool:
        return bool(select.select([self._listener], (), (), LOOK_S)[0])

    def _answer(self, caller: socket.socket) -> None:
        caller.settimeout(PATIENCE_S)
        path = _read(caller)
        if path in _ALIVE:
            caller.sendall(_response("200 OK", b"{}", ()))
        else:
            self._counters.add("overloaded")
            caller.sendall(_refusal(self._label()))
        caller.shutdown(socket.SHUT_WR)


def _read(caller: socket.socket) -> bytes:
    """Read a request, so that closing does not reset the connection; return its path."""
    raw = b""
    with contextlib.suppress(TimeoutError):
        while b"\r\n\r\n" not in raw and len(raw) < MAX_READ and (more := caller.recv(65_536)):
            raw += more
        head, _, body = raw.partition(b"\r\n\r\n")
        left = min(_length(head), MAX_READ) - len(body)
        while left > 0 and (more := caller.recv(65_536)):
            left -= len(more)
    words = raw.split(b"\r\n", 1)[0].split(b" ")
    return words[1].partition(b"?")[0] if len(words) > 1 else b""


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return int(value)
    return 0


def _refusal(label: str) -> bytes:
    request_id = uuid.uuid4().hex
    told = {"code": "overloaded", "message": _BUSY, "column": None, "row": None}
    body = json.dumps({"error": {**told, "request_id": request_id}}).encode()
    head = ("retry-after: 1", f"x-request-id: {request_id}", f"x-shadowserve-model: {label}")
    return _response("503 Service Unavailable", body, head)


def _response(status: str, body: bytes, head: tuple[str, ...]) -> bytes:
    always = ("content-type: application/json", f"content-length: {len(body)}", "connection: close")
    return "\r\n".join((f"HTTP/1.1 {status}", *head, *always, "", "")).encode("latin-1") + body
