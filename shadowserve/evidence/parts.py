"""Parts stay at hand for notebooks, the newest up to a budget; those that have arrived go first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

BUDGET_BYTES = 2 * 2**30


def bound(
    directories: Mapping[Path, frozenset[str]], *, budget: int = BUDGET_BYTES
) -> tuple[int, list[Path]]:
    """Delete the oldest parts beyond a budget: delivered ones, and only then those that wait.

    Parameters
    ----------
    directories : mapping of directory to names
        Every lane's parts, and the names of those that still wait.
    budget : int
        Bytes that all parts together may take.

    Returns
    -------
    deleted, lost
        How many delivered parts went, and which had to go undelivered, since MLflow was away for so
        long. The metrics of their windows still arrive.
    """
    found = []
    for directory, waiting in directories.items():
        for path in directory.glob("*.parquet"):
            stat = path.stat()
            found.append((path.name in waiting, stat.st_mtime_ns, stat.st_size, path))
    used = sum(size for _, _, size, _ in found)
    deleted, lost = 0, []
    for waits, _, size, path in sorted(found):
        if used <= budget:
            break
        path.unlink(missing_ok=True)
        used -= size
        deleted += not waits
        if waits:
            lost.append(path)
    return deleted, lost
