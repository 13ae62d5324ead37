"""Whole numbers: names of classes unless they prove to be quantities.

An id, a class and a count look alike. Taken for quantities, classes 8 and 9 that change places, or ids that
are off by one, hardly differ; taken for names, they differ as they do for a caller. So names they are, until
the differences themselves show sizes: answers that differ lie close together, to either side, and no
renaming of classes explains that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np

LOOKS = (20, 50, 100, 200)
"""Numbers of differing answers after which they are looked at; after the last, names they stay."""

LEAST_VALUES = 12
LEAST_CORRELATION = 0.9
LEAST_TO_EITHER_SIDE = 0.1
LEAST_UNLIKE = 0.2
_KEPT = 400


class WholeNumbers:
    """What differing whole numbers of one output show, from a bounded number of them."""

    def __init__(self) -> None:
        self._pairs: list[tuple[int, int]] = []
        self._values: list[int] = []
        self._looked = 0
        self.settled = False

    def show_sizes(self, champion: Sequence[Any], lane: Sequence[Any]) -> bool:
        """Take rows in, and return whether the answers are quantities.

        A champion's number with a fraction settles it, and so does a text or a truth value.

        Parameters
        ----------
        champion, lane : sequence of JSON values
            One a row.
        """
        types = set(map(type, champion)) - {int, type(None)}
        # A classifier's labels may come as 1.0; a fraction among them is no class.
        if types == {float} and not self.settled:
            self.settled = any(v % 1 for v in champion if isinstance(v, float) and isfinite(v))
            return self.settled
        self.settled |= bool(types)
        if self.settled:
            return False
        for a, b in zip(champion, lane, strict=True):
            if type(a) is not int or type(b) is not int:
                continue
            # The first ones of a stream are as good a sample as any, and need no dice.
            if len(self._values) < _KEPT:
                self._values.append(a)
            if a != b and len(self._pairs) < LOOKS[-1]:
                self._pairs.append((a, b))
        if len(self._pairs) < LOOKS[self._looked]:
            return False
        # One batch may pass several looks at once; they are one look at the same rows.
        while self._looked < len(LOOKS) and len(self._pairs) >= LOOKS[self._looked]:
            self._looked += 1
        shown = self._are_sizes()
        self.settled = shown or self._looked == len(LOOKS)
        return shown

    def _are_sizes(self) -> bool:
        return self._are_many() and self._lie_close() and not self._are_renamed()

    def _are_many(self) -> bool:
        """Whether most values occur once, or nearly all in between occur: codes leave gaps and repeat."""
        values = set(self._values)
        if len(values) < LEAST_VALUES:
            return False
        dense = len(values) >= (max(values) - min(values) + 1) / 2
        return dense or len(values) >= len(self._values) / 2

    def _lie_close(self) -> bool:
        """Whether differing answers rank alike (Spearman)."""
        ranks = [_ranks([pair[side] for pair in self._pairs]) for side in (0, 1)]
        # Where one side never varies there is no correlation, and numpy would warn of it.
        if min(float(np.ptp(one)) for one in ranks) == 0:
            return False
        return float(np.corrcoef(ranks[0], ranks[1])[0, 1]) >= LEAST_CORRELATION

    def _are_renamed(self) -> bool:
        """Whether a new name for each class may explain it: to one side only, or few distances."""
        apart = [b - a for a, b in self._pairs]
        more = sum(1 for one in apart if one > 0) / len(apart)
        by_value: dict[int, Counter[int]] = {}
        for a, b in self._pairs:
            by_value.setdefault(a, Counter())[b] += 1
        repeated = len(self._pairs) - len(by_value)
        unlike = len(self._pairs) - sum(max(found.values()) for found in by_value.values())
        if repeated >= LOOKS[0] / 2 and unlike < LEAST_UNLIKE * repeated:
            # The same answer of the champion became mostly the same other one.
            return True
        # A renaming maps a class to one other; quantities that repeat do not.
        varied = unlike >= LOOKS[0] / 4
        if min(more, 1 - more) < LEAST_TO_EITHER_SIDE:
            return not varied
        return len(set(map(abs, apart))) < 3 and not varied


def _ranks(values: Sequence[int]) -> np.ndarray:
    """Return ranks, ties sharing the middle one; whole numbers of any size."""
    order = {value: place for place, value in enumerate(sorted(set(values)))}
    codes = np.asarray([order[value] for value in values])
    counts = np.bincount(codes)
    middle = np.cumsum(counts) - (counts - 1) / 2
    return np.asarray(middle[codes], dtype=np.float64)
