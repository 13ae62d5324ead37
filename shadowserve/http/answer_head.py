"""The headers that every answer of the data plane bears: the request's id and the served version."""

from __future__ import annotations

from shadowserve.http.asgi import Head


class AnswerHead:
    """Names the served version, and from the beginning of a stop on closes each connection.

    Attributes
    ----------
    usual : bytes or None
        What follows the request's id in a 200, up to the body's length; None while no version is
        named, or connections are to be closed.
    succeeded : bool
        Whether others answer callers by now: what is left here leaves, and nobody is to be turned away.
    """

    def __init__(self) -> None:
        self.label = b"none"
        self.usual: bytes | None = None
        self.succeeded = False
        self._leaving: Head = []

    def serve(self, model: str, version: int) -> None:
        """Name a version, such as ``films/3``, and keep connections from here on."""
        self._leaving, self.succeeded = [], False
        self.label = f"{model}/{version}".encode("ascii", "replace")
        self.usual = (
            b"\r\nx-shadowserve-model: %b\r\ncontent-type: application/json\r\ncontent-length: "
            % self.label
        )

    @property
    def is_leaving(self) -> bool:
        """Whether no connection is kept beyond its next answer."""
        return bool(self._leaving)

    def leave(self, *, succeeded: bool = False) -> None:
        """Keep no connection beyond its next answer."""
        self.succeeded = self.succeeded or succeeded
        self._leaving = [(b"connection", b"close")]
        self.usual = None

    def of(self, request_id: str) -> Head:
        """Return a new list of the headers of one answer."""
        return [
            (b"x-request-id", request_id.encode("latin-1", "replace")),
            (b"x-shadowserve-model", self.label),
            *self._leaving,
        ]
