"""Parts that have been delivered stay at hand for notebooks, the newest up to a budget."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

BUDGET_BYTES = 2 * 2**30


def bound(directories: Mapping[Path, frozenset[str]], *, budget: int = BUDGET_BYTES) -> int:
    """Delete the oldest delivered parts beyond a budget, and return how many.

    Parameters
    ----------
    directories : mapping of directory to names
        Every lane's parts, and the names of those that still wait; these are never deleted, but
        count.
    budget : int
        Bytes that all parts together may take.
    """
    found = []
    for directory, waiting in directories.items():
        for path in directory.glob("*.parquet"):
            stat = path.stat()
            found.append((stat.st_mtime_ns, stat.st_size, path.name not in waiting, path))
    used = sum(size for _, size, _, _ in found)
    deleted = 0
    for _, size, delivered, path in sorted(found):
        if used <= budget:
            break
        if delivered:
            path.unlink(missing_ok=True)
            used -= size
            deleted += 1
    return deleted
