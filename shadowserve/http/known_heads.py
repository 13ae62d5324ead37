"""Heads of requests that came before, byte for byte, and what was made of them.

A caller on a kept connection sends the same head again and again, and reading it costs more than typing a
small body. The same bytes, read where a request may begin, mean the same: what the parser found in them
once holds.
"""

from __future__ import annotations

from typing import Any, NamedTuple

END = b"\r\n\r\n"
"""Behind a head."""
MAX_HEADS = 512
MAX_BYTES = 4 * 2**10
"""Of a head that is kept."""


class Known(NamedTuple):
    """A head that came before.

    Parameters
    ----------
    length : int
        Bytes of the body that it declares.
    claim : object
        What the taker said of the request.
    keep_alive : bool
        Whether the connection outlives the answer.
    """

    length: int
    claim: Any
    keep_alive: bool


class KnownHeads:
    r"""A bounded memory of heads.

    Examples
    --------
    >>> heads = KnownHeads()
    >>> piece = b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}"
    >>> heads.note(piece, b"{}", "claim", keep_alive=True)
    >>> heads.find(piece), heads.find(piece + b"POST ")
    ((Known(length=2, claim='claim', keep_alive=True), b'{}'), None)
    """

    def __init__(self) -> None:
        self._heads: dict[bytes, Known] = {}
        self._most = MAX_HEADS

    def find(self, piece: bytes) -> tuple[Known, bytes] | None:
        """Return what is known of a piece that is one request and no more, and its body."""
        end = _end(piece)
        known = self._heads.get(piece[:end])
        if known is None or len(piece) - end != known.length:
            return None
        return known, piece[end:]

    def note(self, piece: bytes, body: bytes | bytearray, claim: Any, *, keep_alive: bool) -> None:
        """Keep the head of a piece that was read as one request with this body, and no more."""
        end = len(piece) - len(body)
        # The parser said where the body is; only where this search says the same may it be asked again.
        if not end or _end(piece) != end or piece[end:] != body or not self._most:
            return
        if len(self._heads) >= self._most:  # heads that never come again are no loss
            self._heads.clear()
        self._heads[piece[:end]] = Known(len(body), claim, keep_alive)

    def open(self) -> None:
        """Begin to know some."""
        self._most = MAX_HEADS

    def close(self) -> None:
        """Know none from here on."""
        self._most = 0
        self._heads.clear()


def _end(piece: bytes) -> int:
    """Return how long the head is that a piece begins with; 0 for none, or one that is not kept."""
    at = piece.find(END, 0, MAX_BYTES)
    return 0 if at < 0 else at + len(END)
