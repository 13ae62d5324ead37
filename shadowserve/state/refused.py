"""Requests that the champion refused, kept for challengers' lanes to try by their own signatures.

One file a worker, in the journal's folder and like it 0600, since it holds whole requests. It is bounded:
all are kept at first, then fewer and fewer, evenly spread; long ones are not. Nothing is kept where any
column is dropped or hashed. The refusal has left before a request is written, by a thread that nobody
waits for.
"""

from __future__ import annotations

import logging
import os
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

STEADY = 256
"""After so many more that were kept, half as many are kept from then on."""

MOST = 2_048
"""Requests that one worker keeps. With `STEADY` they stand for its first 65,280 refusals."""

MOST_BYTES = 64 * 2**10
"""A longer body is not kept. One huge upload would take the room of a hundred usual requests."""

MOST_ALTOGETHER = 16 * 2**20
"""Bytes of one worker's file, which no budget counts; the journal's own is 2 GiB unless set."""

MOST_WAITING = 64
"""Requests that wait for the thread. A slow disk costs what is kept, never a caller's time."""

_HEAD = struct.Struct("<III")
"""Lengths of protocol, content type and body, before each record: a torn one is seen by them."""


_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refused:
    """One request that was refused.

    Parameters
    ----------
    protocol, content_type : str
        Which door it came through, and what it was said to be: a lane reads it by the same rules.
    body : bytes
        As the caller sent it.
    """

    protocol: str
    content_type: str
    body: bytes

    def pack(self) -> bytes:
        """Return the record as it lies in the file."""
        parts = (self.protocol.encode(), self.content_type.encode(), self.body)
        return b"".join((_HEAD.pack(*map(len, parts)), *parts))


class Refusals:
    """The writing side: one worker, one file, opened for the worker's life.

    Parameters
    ----------
    path : Path
        Made with mode 0600 at the first request that is kept. A half record that a killed worker left at
        its end is cut off.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="refused")
        self._room = threading.Semaphore(MOST_WAITING)
        self._descriptor: int | None = None
        self._full = False
        self._offered = 0
        self._kept = 0
        self._size = 0

    def keep(self, protocol: str, content_type: str, body: bytes) -> None:
        """Keep a request in a while, if it is its turn and fits; never waits and never raises."""
        if self._full or len(body) > MOST_BYTES or not self._room.acquire(blocking=False):
            return
        # Where no thread can be started it waits in line, and the room that it takes stays taken.
        with suppress(RuntimeError):
            self._thread.submit(self._write, Refused(protocol, content_type[:200], body))

    def close(self) -> None:
        """Write what waits, and close the file."""
        self._thread.shutdown()
        if self._descriptor is not None:
            os.close(self._descriptor)

    def _write(self, one: Refused) -> None:
        try:
            if self._descriptor is None:
                self._open()
            self._offered += 1
            # Thinned as it fills: early and late refusals are both there, without knowing how many
            # come.
            if self._offered % 2 ** (self._kept // STEADY) == 0:
                self._append(one.pack())
        except OSError as error:  # such as a full disk: what is not kept is not known
            self._full = True
            _log.error("Refused requests are kept no more: %s", os.strerror(error.errno or 0))
        finally:
            self._room.release()

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        self._descriptor = os.open(self._path, flags, 0o600)
        for _, end in records(self._path):
            self._kept, self._size = self._kept + 1, end
        os.ftruncate(self._descriptor, self._size)

    def _append(self, packed: bytes) -> None:
        if self._kept >= MOST or self._size + len(packed) > MOST_ALTOGETHER:
            self._full = True
            return
        if self._descriptor is not None:
            written = os.pwrite(self._descriptor, packed, self._size)
            # A full disk takes a part; a reader would take it for a record that is being written,
            # for ever.
            if written < len(packed):
                os.ftruncate(self._descriptor, self._size)
                self._full = True
                return
        self._kept, self._size = self._kept + 1, self._size + len(packed)


def records(path: Path, *, start: int = 0) -> Iterator[tuple[Refused, int]]:
    """Yield a worker's whole records from a place on, each with the place behind it.

    Parameters
    ----------
    path : Path
        Missing means that nothing was kept.
    start : int
        Bytes; what an earlier call gave last.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(start)
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            protocol, content_type, body = (file.read(length) for length in _lengths(head))
            start += _HEAD.size + sum(_lengths(head))
            if file.tell() < start:
                return  # it is being written
            told = content_type.decode("utf-8", "replace")
            yield Refused(protocol.decode("utf-8", "replace"), told, body), start


def _lengths(head: bytes) -> tuple[int, int, int]:
    protocol, content_type, body = _HEAD.unpack(head)
    return min(protocol, MOST_BYTES), min(content_type, MOST_BYTES), min(body, MOST_BYTES)
