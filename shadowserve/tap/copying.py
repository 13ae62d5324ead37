"""A copy of one request and its answer in the making, chunk by chunk."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, MutableMapping
from typing import Any

from shadowserve.tap.outbox import Copied, Outbox

Message = MutableMapping[str, Any]


class Copy:
    """One request in the making: chunks as they pass, until it is whole or given up."""

    __slots__ = (
        "_answer", "_arrived_s", "_began_ns", "_body", "_complete", "_ended_ns", "_entity", "_headers", "_held",
        "_max_body", "_outbox", "_protocol", "_request_id", "_status", "_whole", "given_up",
    )  # fmt: skip

    def __init__(
        self,
        scope: MutableMapping[str, Any],
        protocol: str,
        outbox: Outbox,
        max_body: int,
        *,
        entity: bytes = b"",
    ) -> None:
        self._protocol = protocol
        self._entity = entity
        self._outbox = outbox
        self._max_body = max_body
        self._headers = {name.lower(): value for name, value in scope["headers"]}
        self._request_id = b""
        self._body: list[bytes] = []
        self._answer: list[bytes] = []
        self._status = 0
        self._held = {"request": 0, "answer": 0}
        self._whole = self._complete = self.given_up = False
        self._arrived_s = time.time()
        self._began_ns = self._ended_ns = time.monotonic_ns()

    def look(self, at: Callable[[Message], None], message: Message) -> None:
        """Look at a message; a fault of ours ends the copy and nothing else."""
        if not self.given_up:
            try:
                at(message)
            except Exception:
                self.give_up()

    def request(self, message: Message) -> None:
        """Take a part of the request's body."""
        if message["type"] == "http.request" and not self._whole:
            self._keep("request", self._body, message.get("body", b""))
            self._whole = not message.get("more_body", False)
            # From the last byte in: how slowly a caller sends is none of the app's time.
            self._began_ns = time.monotonic_ns()

    def answer(self, message: Message) -> None:
        """Take the answer's head or a part of its body; what is sent past ASGI cannot be copied."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            head = {name.lower(): value for name, value in message.get("headers", ())}
            self._request_id = head.get(b"x-request-id", b"")
            # What is compressed no lane could read.
            if head.get(b"content-encoding", b"identity") != b"identity":
                self.give_up()
        elif message["type"] == "http.response.body":
            self._keep("answer", self._answer, message.get("body", b""))
            self._complete = not message.get("more_body", False)
            self._ended_ns = time.monotonic_ns()
        elif message["type"] == "http.response.pathsend":
            self.give_up()

    def failed(self) -> None:
        """Note that the app raised: what stands in front of us answers 500."""
        if not self._status:
            self._status, self._complete, self._ended_ns = 500, True, time.monotonic_ns()

    def finish(self) -> None:
        """Hand the copy over, if it is whole."""
        if self.given_up:
            return
        if not (200 <= self._status < 300 or self._status >= 500):
            self._release()  # the app refused it itself: there is no answer
        elif not (self._whole and self._complete) or b"content-encoding" in self._headers:
            self.give_up()
        else:
            self._offer()

    def give_up(self) -> None:
        """Let go of what was kept, and count it, once."""
        if self.given_up:
            return
        self.given_up = True
        self._release()
        self._outbox.drop()
        self._body, self._answer = [], []

    def _offer(self) -> None:
        try:
            copied = self._copied()
        except Exception:
            self.give_up()
        else:
            self._outbox.offer(copied)

    def _release(self) -> None:
        self._outbox.release(sum(self._held.values()))

    def _keep(self, what: str, chunks: list[bytes], chunk: bytes) -> None:
        if not chunk:
            return
        size = self._held[what] + len(chunk)
        if size > self._max_body or not self._outbox.claim(len(chunk)):
            self.give_up()
            return
        self._held[what] = size
        # The app may go on to use its buffer.
        chunks.append(bytes(chunk))

    def _copied(self) -> Copied:
        head = self._headers
        # By the id that the caller sent or the app gave: labels come under it.
        request_id = head.get(b"x-request-id") or self._request_id
        return Copied(
            protocol=self._protocol,
            request_id=request_id.decode("latin-1")[:256] or uuid.uuid4().hex,
            content_type=head.get(b"content-type", b"application/json").decode("latin-1"),
            body=b"".join(self._body),
            status=self._status,
            answer=b"".join(self._answer),
            arrived_s=self._arrived_s,
            latency_ms=(self._ended_ns - self._began_ns) / 1e6,
            entity=_printable(head.get(self._entity, b"")),
        )


def _printable(value: bytes) -> str:
    """Return a header's value as the tap takes it: what is too long is cut, what no text may hold left out."""
    text = value.decode("latin-1").strip()
    return "".join(letter for letter in text if letter.isprintable())[:256]
