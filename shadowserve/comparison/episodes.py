"""Episodes of failing: failures that come together are one, whatever brought them together.

An outage of a minute makes a thousand failures and says as much as one of them. Episodes of the
challenger alone are set against those of the champion alone: under equal rates either is as likely.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from shadowserve.statistics.stored import Stored, each, listed, maybe, plain, tupled

TOGETHER = 100
TOGETHER_NS = 60 * 10**9


class Episodes(Stored):
    """Counts episodes of two sides.

    Attributes
    ----------
    own, theirs : int
        Episodes in which the challenger, the champion failed alone: failures within 100 requests or one
        minute of each other are one.
    """

    parts: ClassVar = {
        "n": plain.at("_n").young,
        "last": each(maybe(tupled)).at("_last").young,
        "counts": listed.at("_counts").young,
    }

    def __init__(self) -> None:
        self._n = 0
        self._last: list[tuple[int, int] | None] = [None, None]
        self._counts = [0, 0]

    @property
    def own(self) -> int:
        """Of the challenger."""
        return self._counts[0]

    @property
    def theirs(self) -> int:
        """Of the champion."""
        return self._counts[1]

    def add(self, own: np.ndarray, theirs: np.ndarray, arrived_ns: np.ndarray) -> None:
        """Take in requests: whether each side failed alone, and when it arrived."""
        for side, alone in enumerate((own, theirs)):
            for i in np.flatnonzero(alone).tolist():
                self._failed(side, self._n + i, int(arrived_ns[i]))
        self._n += len(own)

    def _failed(self, side: int, number: int, when: int) -> None:
        last = self._last[side]
        near = last is not None and (
            number - last[0] <= TOGETHER or abs(when - last[1]) <= TOGETHER_NS
        )
        self._counts[side] += not near
        self._last[side] = (number, when)
