"""Series of processes that have ended, kept in one file instead of one each.

Prometheus's client maps a file for every process and adds all of them up when asked. A lane that is
started again and again would leave a file each time, and asking would take longer and longer.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict

from shadowserve.state.counters import is_alive

DEPARTED = 0
"""Stands for a process id in the name of the file that holds them all."""

_OF_PROCESS = re.compile(r"(counter|histogram|summary)_(\d+)(?:_times)?\.db")
_LOCK = "merging"


@contextlib.contextmanager
def undisturbed(directory: Path, *, alone: bool = False) -> Iterator[None]:
    """Keep the files as they are for the length of a block, or to oneself."""
    descriptor = os.open(directory / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def merge(directory: Path) -> int:
    """Add up the files of processes that are no more and remove them; return how many went.

    Raises
    ------
    OSError
        If there is no room for the sum. Everything stays as it was then.
    """
    gone: dict[str, list[Path]] = {}
    for path in directory.glob("*.db"):
        found = _OF_PROCESS.fullmatch(path.name)
        if found and int(found[2]) != DEPARTED and not is_alive(int(found[2])):
            gone.setdefault(found[1], []).append(path)
    for kind, paths in gone.items():
        with undisturbed(directory, alone=True):
            _merge(directory / f"{kind}_{DEPARTED}.db", paths)
    return sum(map(len, gone.values()))


def _merge(whole: Path, paths: list[Path]) -> None:
    sums: dict[str, float] = {}
    for path in [whole, *paths] if whole.exists() else paths:
        with contextlib.suppress(
            RuntimeError, ValueError, struct.error
        ):  # cut off by its process's death
            for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path)):
                sums[key] = sums.get(key, 0.0) + value
    # whole or not at all, and by ordinary writing: a mapped hole on a full disk would be fatal
    draft = whole.with_suffix(".draft")
    try:
        draft.write_bytes(_encoded(sums))
        draft.chmod(0o600)
        draft.replace(whole)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    for path in paths:
        path.unlink(missing_ok=True)


def _encoded(sums: dict[str, float]) -> bytes:
    """Write values as Prometheus's client reads them: length, key padded to eight bytes, value, time."""
    entries = bytearray()
    for key, value in sums.items():
        name = key.encode()
        # The client pads length and key together to eight bytes, and one space at least.
        padded = name + b" " * (8 - (len(name) + 4) % 8)
        entries += struct.pack(f"=i{len(padded)}sdd", len(name), padded, value, 0.0)
    return struct.pack("=ii", len(entries) + 8, 0) + bytes(entries)
