"""The champion's times of many requests at once, as the journal packs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shadowserve.records import PHASES

_HEAD = 2 + len(PHASES)


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What `Times.unpack` reads of each.

    Parameters
    ----------
    numbers : ndarray of shape (n, width), int64
        As packed; 0 beyond the end of those that are shorter.
    n_steps : ndarray of shape (n,), int64
        Steps of each.
    """

    numbers: np.ndarray
    n_steps: np.ndarray

    @classmethod
    def of(cls, packed: Sequence[bytes]) -> Unpacked:
        """Read what `Times.pack` wrote.

        Raises
        ------
        ValueError
            If one lacks its phases.
        """
        n_bytes = np.array([len(one) for one in packed], dtype=np.int64)
        lengths = n_bytes // 8
        if (n_bytes % 8).any() or (lengths < _HEAD).any():
            raise ValueError(
                f"times are at least {_HEAD} numbers of 8 bytes, {n_bytes.min()} bytes came"
            )
        n_steps = (lengths - _HEAD) // 2
        flat = np.frombuffer(b"".join(packed), dtype="<i8")
        widest = int(lengths.max(initial=_HEAD))
        if flat.size == widest * len(packed):
            return cls(flat.reshape(len(packed), widest), n_steps)
        numbers = np.zeros((len(packed), widest), dtype=np.int64)
        numbers[np.arange(widest) < lengths[:, None]] = flat
        return cls(numbers, n_steps)

    @property
    def batch_requests(self) -> np.ndarray:
        """Requests that were scored together: ndarray of shape (n,), int64."""
        return self.numbers[:, 0]

    @property
    def total_ns(self) -> np.ndarray:
        """All phases together."""
        return np.asarray(self.numbers[:, 2:_HEAD].sum(axis=1))

    @property
    def work_ns(self) -> np.ndarray:
        """Featurization and inference."""
        return np.asarray(self.numbers[:, 5] + self.numbers[:, 6])

    def wall_ns(self, which: np.ndarray) -> np.ndarray:
        """Return the steps' wall times of those requests, which have as many steps as each other."""
        n_steps = int(self.n_steps[which][0])
        return self.numbers[which, _HEAD : _HEAD + n_steps]
