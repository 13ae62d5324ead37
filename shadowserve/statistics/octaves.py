"""The latest timings by octave of size: few of each size, however often the usual one comes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from shadowserve.statistics.stored import Stored, each, numbered, plain, tupled


class Octaves(Stored):
    """Sizes with what they took, the latest of each octave.

    Attributes
    ----------
    n : int
        Timings taken in, of which some may have made room.
    per_octave : int
        How many of an octave are kept.
    """

    parts: ClassVar = {"n": plain, "octaves": numbered(each(tupled)).at("_octaves")}
    per_octave: ClassVar[int] = 48

    def __init__(self) -> None:
        self.n = 0
        self._octaves: dict[int, list[tuple[int, float]]] = {}

    def keep(self, sizes: Iterable[int], ms: Iterable[float]) -> None:
        """Take in timings; NaN is left out."""
        for size, took in zip(sizes, ms, strict=True):
            if took == took:
                kept = self._octaves.setdefault(int(size).bit_length(), [])
                kept.append((size, took))
                self.n += 1
                if len(kept) > self.per_octave:
                    del kept[0]

    def kept(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return sizes and ms, octave by octave: two ndarrays of shape (n_kept,), float64."""
        pairs = [pair for octave in sorted(self._octaves) for pair in self._octaves[octave]]
        size, ms = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
        return size, ms
