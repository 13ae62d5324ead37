"""How often callers were refused, by the code that their answer bore, in a mapped file of each worker.

The codes are ours, so there are as many series as stand here, whatever callers send.
"""

from __future__ import annotations

import logging
import mmap
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from shadowserve.state.files import bytes_of, mapped

SUFFIX = ".codes"
"""Ends the name of the file, which lies beside the worker's counters."""
OTHER = "other"
"""Stands for a code that has no cell of its own."""
CODES = (
    OTHER,
    "bad_answer", "bad_csv", "bad_host", "bad_json", "bad_params", "bad_record", "body_timeout",
    "content_encoding", "content_type", "duplicate_key", "empty", "head_timeout", "head_too_large",
    "internal_error", "method_not_allowed", "missing_column", "model_error", "not_a_record", "not_found",
    "not_ready", "other_site", "overloaded", "ragged_rows", "timeout", "too_deep", "too_large",
    "unauthorized", "unknown_host", "unnamed_values", "unsupported_media_type", "wrong_param",
    "wrong_protocol", "wrong_shape", "wrong_type", "wrong_width", "gone",
)  # fmt: skip
"""In the order of their cells: a new one comes last, so that counts of earlier releases stay true."""

_CELL = {code: place for place, code in enumerate(CODES)}
_MOST = 128
_SIZE = 8 * _MOST

_log = logging.getLogger(__name__)


class RefusalCounts:
    """The writing side: one worker, one file, whose counts go on from where they stood.

    Parameters
    ----------
    path : Path
        Created with mode 0600 if missing; where that fails, what is counted is not told.
    """

    def __init__(self, path: Path) -> None:
        self._map = _mapped(path)
        self._cells = memoryview(self._map).cast("q")

    def add(self, code: str) -> None:
        """Count one refusal."""
        self._cells[_CELL.get(code, 0)] += 1

    def close(self) -> None:
        """Unmap the file; the counts stay in it."""
        self._cells.release()
        self._map.close()


def read(paths: Iterable[Path]) -> dict[str, int]:
    """Return all workers' counts together, every code with its number, also those that never came."""
    found = dict.fromkeys(CODES, 0)
    for path in paths:
        raw = bytes_of(path)
        # A shorter file is one that is being made.
        cells = struct.unpack_from(f"{_MOST}q", raw) if len(raw) >= _SIZE else ()
        for code, n in zip(CODES, cells, strict=False):
            found[code] += n
    return found


def _mapped(path: Path) -> mmap.mmap:
    try:
        return mapped(path, _SIZE)
    except OSError as error:  # such as a full disk, which must not keep a worker from answering
        _log.error("Refusals are not counted by code: %s", os.strerror(error.errno or 0))
        return mmap.mmap(-1, _SIZE)
