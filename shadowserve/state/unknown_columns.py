"""Names of request columns that the signature does not know, for whoever asks for the status.

Such columns are ignored. Their names are told, never their values; and since a caller may write
anything as a name, few are kept, cut short and without control characters. They lie in a mapped file
beside the worker's counters: meeting a name is a memory write, and the names outlive the worker.
"""

from __future__ import annotations

import logging
import mmap
import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shadowserve.state.files import mapped

MAX_NAMES = 50
MAX_LENGTH = 100
_LOOKED_AT = 256
_NO_COLUMN = "params."
_HEAD = struct.Struct("<qq")  # number of names; whether there are more
_LENGTH = struct.Struct("<H")
_SLOT_SIZE = _LENGTH.size + 4 * MAX_LENGTH  # a character takes up to four bytes
_SIZE = _HEAD.size + MAX_NAMES * _SLOT_SIZE

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Met:
    """Names that were met.

    Parameters
    ----------
    names : tuple of str
        At most `MAX_NAMES`, each of at most `MAX_LENGTH` characters.
    more : bool
        Whether others were met that are not listed.
    """

    names: tuple[str, ...] = ()
    more: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return what is told."""
        return {"names": list(self.names), "more": self.more}


class UnknownColumns:
    """The writing side: one worker, one file, opened for the worker's life.

    Parameters
    ----------
    path : Path
        Created with mode 0600 if missing; where that fails, names are kept in memory and not told.
    """

    def __init__(self, path: Path) -> None:
        self._map = _mapped(path)
        met = _unpack(self._map[:])
        self._names, self._more = set(met.names), met.more

    def meet(self, names: Sequence[str]) -> None:
        """Note the names of one request's unknown columns; unknown parameters are passed over."""
        # Nothing can be added, so a flood of made-up names costs no more than this line.
        if self._more and len(self._names) == MAX_NAMES:
            return
        if len(names) > _LOOKED_AT:
            self._note_more()
        for name in names[:_LOOKED_AT]:
            shown = _legible(name)
            if shown in self._names or name.startswith(_NO_COLUMN):
                continue
            if len(self._names) == MAX_NAMES:
                self._note_more()
                return
            self._note(shown)

    def move(self, path: Path) -> None:
        """Go on in another file; to be called while nothing is met."""
        self._map.close()
        self._map = _mapped(path)
        met = _unpack(self._map[:])
        self._names, self._more = set(met.names), met.more

    def close(self) -> None:
        """Unmap the file; the names stay in it."""
        self._map.close()

    def _note(self, name: str) -> None:
        """Write the name, then the number of names, so that a reader finds none half written."""
        text, place = name.encode(), len(self._names)
        start = _HEAD.size + place * _SLOT_SIZE
        _LENGTH.pack_into(self._map, start, len(text))
        self._map[start + _LENGTH.size : start + _LENGTH.size + len(text)] = text
        # The count comes last: a reader, or a kill, in between sees the names as they were.
        self._names.add(name)
        _HEAD.pack_into(self._map, 0, place + 1, self._more)

    def _note_more(self) -> None:
        self._more = True
        _HEAD.pack_into(self._map, 0, len(self._names), self._more)


def read(paths: Iterable[Path]) -> Met:
    """Read what the workers met, all together; nothing where none has a file."""
    names: dict[str, None] = {}
    more = False
    for path in paths:
        # A worker's file is missing where it never started, or had no room.
        met = _unpack(path.read_bytes()) if path.exists() else Met()
        names.update(dict.fromkeys(met.names))
        more |= met.more
    return Met(tuple(names)[:MAX_NAMES], more or len(names) > MAX_NAMES)


def _legible(name: str) -> str:
    """Cut a name, and replace what a terminal would not print."""
    cut = name if len(name) <= MAX_LENGTH else name[: MAX_LENGTH - 1] + "…"
    return cut if cut.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in cut)


def _mapped(path: Path) -> mmap.mmap:
    try:
        return mapped(path, _SIZE)
    except OSError as error:  # such as a full disk, which must not keep a worker from answering
        _log.error("Names of unknown columns are not kept: %s", os.strerror(error.errno or 0))
        return mmap.mmap(-1, _SIZE)


def _unpack(raw: bytes) -> Met:
    if len(raw) < _SIZE:
        return Met()
    n, more = _HEAD.unpack_from(raw)
    names = []
    for start in range(_HEAD.size, _HEAD.size + n * _SLOT_SIZE, _SLOT_SIZE):
        (length,) = _LENGTH.unpack_from(raw, start)
        names.append(raw[start + _LENGTH.size : start + _LENGTH.size + length].decode())
    return Met(tuple(names), bool(more))
