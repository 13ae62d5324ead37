"""The stand-in: it answers callers with 503 at once while no champion worker accepts connections.

A worker that died takes seconds to be replaced, and its socket, which the supervisor holds, goes on
taking connections. Until a worker accepts again they are answered here.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
import uuid
from collections.abc import Callable

from shadowserve.errors import RequestError
from shadowserve.http.certificate import Certificate
from shadowserve.http.refusals import raw_answer, refusal
from shadowserve.state.counters import Counters
from shadowserve.wire.protocol import Purpose
from shadowserve.wire.protocols import form_at, probes

LOOK_S = 0.05
PATIENCE_S = 0.5
MAX_READ = 1 << 20
MOST_AT_ONCE = 64


class StandIn:
    """Answers on the data plane's socket while it is needed, on a thread of its own.

    Parameters
    ----------
    listener : socket
        The data plane's.
    needed : callable
        Whether no worker accepts now.
    why : callable
        Says in words why nobody else answers.
    label : callable
        Names the served version.
    counters : Counters
        Where each refusal is counted as ``not_ready``; asking whether it is ready is none.
    certificate : Certificate, optional
        Callers are then spoken to over TLS.
    """

    def __init__(
        self,
        listener: socket.socket,
        *,
        needed: Callable[[], bool],
        why: Callable[[], str],
        label: Callable[[], str],
        counters: Counters,
        certificate: Certificate | None = None,
    ) -> None:
        self._context = None if certificate is None else certificate.context()
        self._listener = listener
        self._needed = needed
        self._why = why
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._counting = threading.Lock()
        self._label = label
        self._counters = counters
        self._probes = probes()
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
                    # A caller beyond the bound waits in the socket's queue, where it costs no
                    # thread.
                    self._places.acquire()
                    threading.Thread(target=self._meet, args=(caller,), daemon=True).start()

    def _meet(self, caller: socket.socket) -> None:
        """Answer one caller, on a thread of its own: one who is slow keeps nobody waiting."""
        try:
            with contextlib.suppress(OSError), caller, self._secured(caller) as secured:
                self._answer(secured)
        finally:
            self._places.release()

    def _waiting(self) -> bool:
        return bool(select.select([self._listener], (), (), LOOK_S)[0])

    def _secured(self, caller: socket.socket) -> socket.socket:
        """Return what the caller is spoken to through."""
        caller.settimeout(PATIENCE_S)
        return caller if self._context is None else self._context.wrap_socket(caller, True)

    def _answer(self, caller: socket.socket) -> None:
        path = _read(caller, until=time.monotonic() + PATIENCE_S).decode("latin-1")
        request_id = uuid.uuid4().hex
        label = self._label().encode("ascii", "replace")
        head = [(b"x-request-id", request_id.encode()), (b"x-shadowserve-model", label)]
        asked = self._probes.get(path)
        # Alive, though not ready: a probe that failed here would have the whole server restarted.
        if asked is Purpose.LIVE:
            caller.sendall(raw_answer(200, b"{}", head))
        else:
            if asked is None:
                # The counters have one writer, and each caller is met on a thread of its own.
                with self._counting:
                    self._counters.add("not_ready")
                    self._counters.refuse("not_ready")
            error = RequestError(
                f"{self._why()} Try again in a second.", code="not_ready", status=503
            )
            refused = refusal(error, form_at(path), request_id=request_id, head=head)
            caller.sendall(refused.raw())
        caller.shutdown(socket.SHUT_WR)
        _see_off(caller, until=time.monotonic() + PATIENCE_S)


def _read(caller: socket.socket, *, until: float) -> bytes:
    """Read a request, so that closing does not reset the connection; return its path.

    One who sends slowly keeps the others waiting no longer than one who sends nothing.
    """

    def more() -> bytes:
        caller.settimeout(max(until - time.monotonic(), 0.001))
        return caller.recv(65_536)

    raw = b""
    with contextlib.suppress(TimeoutError):
        while b"\r\n\r\n" not in raw and len(raw) < MAX_READ and (came := more()):
            raw += came
        head, _, body = raw.partition(b"\r\n\r\n")
        if _waits_for_word(head):  # the answer comes instead of the leave to send a body
            return _path(raw)
        left = min(_length(head), MAX_READ) - len(body)
        while left > 0 and (came := more()):
            left -= len(came)
    caller.settimeout(PATIENCE_S)
    return _path(raw)


def _path(raw: bytes) -> bytes:
    words = raw.split(b"\r\n", 1)[0].split(b" ")
    return words[1].partition(b"?")[0] if len(words) > 1 else b""


def _see_off(caller: socket.socket, *, until: float) -> None:
    """Read what the caller still sends until it hangs up: closing before would reset the connection."""
    with contextlib.suppress(OSError):
        while (left_s := until - time.monotonic()) > 0:
            caller.settimeout(left_s)
            if not caller.recv(65_536):
                return


def _waits_for_word(head: bytes) -> bool:
    """Tell whether the caller holds its body back until it is told to send it."""
    lines = (line.partition(b":") for line in head.lower().split(b"\r\n")[1:])
    return any(n.strip() == b"expect" and v.strip() == b"100-continue" for n, _, v in lines)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return int(value)
    return 0
