"""Lists whose order means nothing: which items came and went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from shadowserve.divergence.align import Outputs, align
from shadowserve.divergence.codes import code_lists
from shadowserve.divergence.compared import Compared, Measure, compared
from shadowserve.divergence.kind import Given
from shadowserve.divergence.kinds.items import GAINED, LOST, ItemLists, came_and_went, listed
from shadowserve.divergence.ranks import matches
from shadowserve.settings.vocabulary import Kind

MEASURES = (
    Measure.distance("jaccard_distance", "share of the items of both that only one has"),
    GAINED,
    LOST,
)


@dataclass(frozen=True, slots=True)
class SetDivergence:
    """Compare lists as sets.

    ``jaccard_distance``
        1 - common items / all items: 0 same set in any order, 1 disjoint.
    ``gained``, ``lost``
        Number of items that only the lane, only the champion has.

    Lists that hold the same items in another order are equal. Sets may differ in size; that is no
    difference of structure.
    """

    kind: str = Kind.SET
    measures: tuple[Measure, ...] = MEASURES

    def compare(self, champion: Outputs, lane: Outputs) -> Compared:
        """Compare two sequences of n_rows lists; see `Divergence.compare`."""
        aligned, measured = listed(align(champion, lane), sized=False)
        rows = np.flatnonzero(measured & ~aligned.equal)
        found = _measure(
            *code_lists(
                [aligned.champion[i] for i in rows.tolist()],
                [aligned.lane[i] for i in rows.tolist()],
            )
        )
        # Lists are equal item by item only; the same set in another order has to be found first.
        reordered = np.zeros(measured.size, dtype=bool)
        reordered[rows] = found["jaccard_distance"] == 0
        unequal = ~reordered[rows]

        def measure(_: np.ndarray) -> tuple[Mapping[str, np.ndarray], np.ndarray]:
            left = {name: column[unequal] for name, column in found.items()}
            return left, np.zeros(int(unequal.sum()), dtype=bool)

        aligned = aligned.with_equal(reordered)
        return compared(aligned, measures=MEASURES, measured=measured, measure=measure)


def _measure(champion: np.ndarray, lane: np.ndarray) -> dict[str, np.ndarray]:
    m = matches(champion, lane)
    union = m.champion_length + m.lane_length - m.common
    distance = np.where(union == 0, 0.0, 1.0 - m.common / np.maximum(union, 1))
    return {"jaccard_distance": distance, **came_and_went(m)}


class ItemSet(ItemLists):
    """Lists whose order means nothing. No output shows it: a team says so."""

    name = Kind.SET
    measures = MEASURES
    unit = "share of items"

    def make(self, given: Given) -> SetDivergence:
        """Return what compares lists as sets."""
        return SetDivergence()
