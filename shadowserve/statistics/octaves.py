"""The latest timings by octave of size: few of each size, however often the usual one comes."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

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

    def keep(self, sizes: ArrayLike, ms: ArrayLike) -> None:
        """Take in timings, two array-likes of shape (n_timings,); NaN is left out."""
        size, took = np.asarray(sizes), np.asarray(ms, dtype=np.float64)
        known = ~np.isnan(took)
        self.n += int(known.sum())
        octaves = np.frexp(size.astype(np.float64))[1]
        for octave in np.unique(octaves[known]).tolist():
            # Of many of one octave, only the latest would stay.
            at = np.flatnonzero(known & (octaves == octave))[-self.per_octave :]
            kept = self._octaves.setdefault(octave, [])
            kept.extend(zip(size[at].tolist(), took[at].tolist(), strict=True))
            del kept[: -self.per_octave]

    def kept(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return sizes and ms, octave by octave: two ndarrays of shape (n_kept,), float64."""
        pairs = [pair for octave in sorted(self._octaves) for pair in self._octaves[octave]]
        size, ms = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
        return size, ms
