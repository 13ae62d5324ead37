"""Lost segments of the journal: files that can no longer be read, moved aside and noted.

A note is a line ``worker first last``. Lanes and the ledger count from it, so that every request keeps
exactly one outcome in every lane. The damaged file stays for whoever wants to look into it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ASIDE = "damaged"
NOTES = "lost"
MARK = ".damaged"
"""Suffix of a file beside a segment in which a reader met a damaged row."""


@dataclass(frozen=True, slots=True)
class Range:
    """Sequence numbers of one worker, both ends included."""

    worker: int
    first: int
    last: int

    def within(self, *, after: int, upto: int) -> int:
        """Return how many of them lie above one number and up to another."""
        return max(0, min(self.last, upto) - max(self.first - 1, after))


def noted(directory: Path) -> list[Range]:
    """Return the ranges that a journal has lost; a line that was cut off is passed over."""
    try:
        lines = (directory / NOTES).read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    split = [line.split() for line in lines]
    return [Range(*map(int, parts)) for parts in split if len(parts) == 3 and _numbers(parts)]


def count(directory: Path, *, worker: int, after: int, upto: int) -> int:
    """Return how many of a worker's requests in a stretch are noted as lost."""
    found = [one for one in noted(directory) if one.worker == worker]
    return min(max(0, upto - after), sum(one.within(after=after, upto=upto) for one in found))


def set_aside(path: Path, lost: Range | None) -> Path:
    """Move a segment's file into a folder of its own and note what it held; return where it lies.

    The note comes first: what is moved without one would pass for deleted by the budget.
    """
    directory = path.parent
    if lost is not None and lost.last >= lost.first and lost not in noted(directory):
        # One write of a short line at the end of the file: others append here, too.
        flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND
        descriptor = os.open(directory / NOTES, flags, 0o600)
        try:
            os.write(descriptor, f"{lost.worker} {lost.first} {lost.last}\n".encode())
        finally:
            os.close(descriptor)
    folder = directory / ASIDE
    folder.mkdir(mode=0o700, exist_ok=True)
    for suffix in ("-wal", "-shm", ""):
        part = Path(f"{path}{suffix}")
        if part.exists():
            part.replace(folder / part.name)
    Path(f"{path}{MARK}").unlink(missing_ok=True)
    return folder / path.name


def mark(path: Path) -> None:
    """Mark a segment as holding a row that cannot be read; the journal's keeper moves it aside."""
    Path(f"{path}{MARK}").touch(mode=0o600)


def is_marked(path: Path) -> bool:
    """Tell whether a reader met a damaged row."""
    return Path(f"{path}{MARK}").exists()


def _numbers(parts: Sequence[str]) -> bool:
    return all(part.isdigit() for part in parts)
