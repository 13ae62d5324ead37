"""The headers that every answer of the data plane bears: the request's id and the served version."""

from __future__ import annotations

from shadowserve.http.asgi import Head


class AnswerHead:
    """Names the served version, and from the beginning of a stop on closes each connection."""

    def __init__(self) -> None:
        self.label = b"none"
        self._leaving: Head = []

    def serve(self, model: str, version: int) -> None:
        """Name a version, such as ``films/3``."""
        self.label = f"{model}/{version}".encode("ascii", "replace")

    @property
    def is_leaving(self) -> bool:
        """Whether no connection is kept beyond its next answer."""
        return bool(self._leaving)

    def leave(self) -> None:
        """Keep no connection beyond its next answer."""
        self._leaving = [(b"connection", b"close")]

    def of(self, request_id: str) -> Head:
        """Return a new list of the headers of one answer."""
        return [
            (b"x-request-id", request_id.encode("latin-1", "replace")),
            (b"x-shadowserve-model", self.label),
            *self._leaving,
        ]
