"""What of the archive must go: the oldest, beyond an age or a number of bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shadowserve.settings.keeping import Keep
from shadowserve.state.archive.holdings import Archived


def beyond(archived: Sequence[Archived], keep: Keep, *, now_ns: int) -> list[Path]:
    """Return the files to delete, the oldest first.

    A file that cannot be read counts as bytes, and is as old as its last writing.

    Parameters
    ----------
    now_ns : int
        Since the epoch.
    """
    ages = {one.path: _until_ns(one) for one in archived}
    oldest = sorted(archived, key=lambda one: ages[one.path])
    used = sum(one.bytes for one in archived)
    gone = []
    for one in oldest:
        too_old = keep.age_s is not None and ages[one.path] < now_ns - int(keep.age_s * 1e9)
        too_much = keep.bytes is not None and used > keep.bytes
        if not (too_old or too_much):
            continue
        used -= one.bytes
        gone.append(one.path)
    return gone


def _until_ns(one: Archived) -> int:
    if one.facts is not None:
        return one.facts.until_ns
    try:
        return one.path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
