"""Histograms of times in mapped memory, in the files of Prometheus's client for several processes.

Its own histograms ask at every observation who the process is, lock, and pack the values; that took a
twelfth of a busy worker's time. Here a cell of the mapped file is added to, and nothing else.
"""

from __future__ import annotations

import atexit
import os
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.utils import floatToGoString

BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Upper bounds in seconds; what takes longer than the last has a bucket of its own."""
_BOUNDS_NS = tuple(round(bound * 1e9) for bound in BUCKETS)
_BOUNDS = (*map(floatToGoString, BUCKETS), "+Inf")

_FILES: dict[Path, MmapedDict] = {}
"""This process's file in each directory: a second one on the same file would not know of its growth."""


def _close() -> None:
    """Close the files that growing would have needed; what is mapped stays until the process ends."""
    for file in _FILES.values():
        file._f.close()


atexit.register(_close)


def path_of(directory: Path) -> Path:
    """Return this process's file, which is not the one that a model's own metrics would be in."""
    return directory / f"histogram_{os.getpid()}_times.db"


class TimeHistogram:
    """One series: times by bucket and their sum. One thread observes it.

    Parameters
    ----------
    name, told : str
        Of the metric, and what it means.
    labels : mapping of label to value
    directory : Path, optional
        Where processes map their series; without one nothing is kept.

    Raises
    ------
    OSError
        If the file cannot be mapped.
    """

    __slots__ = ("_buckets", "_cells", "_sum")

    def __init__(
        self, name: str, told: str, labels: dict[str, str], *, directory: Path | None
    ) -> None:
        self._cells: memoryview[float] | list[float] = [0.0] * (len(_BOUNDS) + 1)
        self._buckets, self._sum = list(range(len(_BOUNDS))), len(_BOUNDS)
        if directory is not None:
            self._map(directory, name, told, labels)

    def _map(self, directory: Path, name: str, told: str, labels: dict[str, str]) -> None:
        path = path_of(directory)
        if path not in _FILES:
            _FILES[path] = MmapedDict(str(path))
        file, names, values = _FILES[path], list(labels), list(labels.values())
        keys = [mmap_key(name, f"{name}_sum", names, values, told)]
        keys += [
            mmap_key(name, f"{name}_bucket", [*names, "le"], [*values, bound], told)
            for bound in _BOUNDS
        ]
        for key in keys:
            file.read_value(key)  # makes it
        self._sum, *self._buckets = (file._positions[key] // 8 for key in keys)
        # Entries are padded to eight bytes. A map that the file has outgrown still shows its part.
        self._cells = memoryview(file._m).cast("B").cast("d")

    def observe(self, spent_ns: int) -> None:
        """Add one time."""
        cells = self._cells
        cells[self._buckets[bisect_left(_BOUNDS_NS, spent_ns)]] += 1.0
        cells[self._sum] += spent_ns / 1e9


def series(
    name: str,
    told: str,
    *,
    each: str,
    values: Sequence[str],
    directory: Path | None,
    labels: dict[str, str],
) -> list[TimeHistogram]:
    """Return one series for each value of a label."""
    return [
        TimeHistogram(name, told, {**labels, each: value}, directory=directory) for value in values
    ]
