"""An HTTP/1.1 answer as it comes in, piece by piece: by its declared length, in chunks, or until the end."""

from __future__ import annotations

MOST_HEAD = 64 * 2**10
"""Bytes of a head; what is longer is no answer."""


class Incoming:
    r"""One answer in the making.

    Attributes
    ----------
    status : int
        0 until its head is there.
    keeps : bool
        Whether the connection may be asked again.

    Examples
    --------
    >>> answer = Incoming()
    >>> answer.take(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{"), answer.take(b"}")
    (False, True)
    >>> answer.status, answer.body()
    (200, b'{}')
    """

    __slots__ = ("_at", "_body_at", "_came", "_wanted", "keeps", "status")

    def __init__(self) -> None:
        self.status = 0
        self.keeps = True
        self._came = bytearray()
        self._body_at = self._at = 0
        self._wanted: int | None = None

    def take(self, piece: bytes) -> bool:
        """Take in what came; say whether the answer is whole.

        Raises
        ------
        ValueError
            If it is no answer of this protocol.
        """
        self._came += piece
        if not self._body_at and not self._head():
            return False
        if self._wanted is None:
            return self._last_chunk()
        return self._wanted >= 0 and len(self._came) - self._body_at >= self._wanted

    def ended(self) -> bool:
        """Say whether the answer is whole, now that the connection has ended."""
        return self._body_at > 0 and self._wanted == _UNTIL_END

    def body(self) -> bytes:
        """Return the body of a whole answer."""
        rest = bytes(self._came[self._body_at :])
        if self._wanted is not None:
            return rest
        told = []
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            length = int(size.partition(b";")[0] or b"0", 16)
            told.append(rest[:length])
            rest = rest[length + 2 :]
        return b"".join(told)

    def _head(self) -> bool:
        end = self._came.find(b"\r\n\r\n")
        if end < 0:
            if len(self._came) > MOST_HEAD:
                raise ValueError("a head without an end")
            return False
        head = bytes(self._came[:end]).lower()
        if not head.startswith(b"http/1."):
            raise ValueError("no HTTP/1")
        self.status = int(head[9:12])
        self._body_at = self._at = end + 4
        if 100 <= self.status < 200:  # told ahead of the answer
            del self._came[: self._body_at]
            self._body_at = self.status = 0
            return self._head()
        self.keeps = b"\r\nconnection: close" not in head and head.startswith(b"http/1.1")
        _, found, length = head.partition(b"\r\ncontent-length:")
        if found:
            self._wanted = int(length.partition(b"\r\n")[0])
        elif self.status in _NO_BODY:
            self._wanted = 0
        elif b"\r\ntransfer-encoding:" not in head:
            self._wanted, self.keeps = _UNTIL_END, False
        return True

    def _last_chunk(self) -> bool:
        """Walk over the chunks that are whole; say whether the last of them, which is empty, is there."""
        while (end := self._came.find(b"\r\n", self._at)) >= 0:
            size = int(bytes(self._came[self._at : end]).partition(b";")[0], 16)
            if size == 0:
                return self._came.find(b"\r\n\r\n", end) >= 0
            if len(self._came) < end + size + 4:
                return False
            self._at = end + size + 4
        return False


_UNTIL_END = -1
_NO_BODY = (204, 304)
