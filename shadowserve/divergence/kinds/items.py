"""Lists of items, ranked or not: which items each side shows, and how wrong a list is."""

from __future__ import annotations

import heapq
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from shadowserve.divergence.align import Aligned, Type
from shadowserve.divergence.blocks import widths
from shadowserve.divergence.codes import item_structure
from shadowserve.divergence.compared import Compared, Divergence, Measure, Swap
from shadowserve.divergence.kind import Always, OutputKind, Parts
from shadowserve.divergence.ranks import Matches
from shadowserve.legible import number, share
from shadowserve.statistics.tally import Items
from shadowserve.statistics.tally.keys import class_key

N_MOVERS = 10
GAINED = Measure("gained", 0, np.inf, Swap.FREE, "items that only the challenger has")
LOST = Measure("lost", 0, np.inf, Swap.FREE, "items that only the champion has")


class ItemLists(OutputKind):
    """What ranked lists and sets have in common."""

    shows_items = True
    decisive = "miss"
    bounds: Mapping[str, float] = {"miss": 1.0, "rank_loss": 1.0}

    def parts(self, divergence: Divergence) -> Parts:
        """Return both sides' items."""
        return {"champion": Items(), "lane": Items()}

    def feed(
        self, parts: Parts, champion: Sequence[Any], lane: Sequence[Any], compared: Compared
    ) -> None:
        """Feed both sides' items."""
        parts["champion"].add([row for row in champion if type(row) is list])
        parts["lane"].add([row for row in lane if type(row) is list])

    def figures(self, parts: Parts) -> dict[str, Any]:
        """Return both sides' concentration and coverage, and the items that moved most."""
        champion, lane = (parts[side].summary() for side in ("champion", "lane"))
        return {
            "champion": champion,
            "lane": lane,
            "movers": movers(parts["champion"], parts["lane"]),
        }

    def tell(self, figures: Mapping[str, Any], rate: float) -> str:
        """Say on how many requests lists differ, and how much ranked ones overlap."""
        overlap = figures.get("rank_biased_overlap")
        same = (
            f"; rank-biased overlap is {number(overlap, 2)} (1 is the same list)"
            if overlap is not None
            else ""
        )
        return f"answers another list for {share(rate)} of requests{same}"

    def wrong(self, truth: Any, answer: Any) -> Mapping[str, float]:
        """Return the share of wanted items that are missing, and 1 less the reciprocal rank of the first."""
        wanted = {class_key(item) for item in (truth if isinstance(truth, list) else [truth])}
        shown = [class_key(item) for item in (answer if isinstance(answer, list) else [answer])]
        ranks = [place for place, item in enumerate(shown, start=1) if item in wanted]
        missed = len(wanted - set(shown)) / max(1, len(wanted))
        return {"miss": missed, "rank_loss": 1 - 1 / ranks[0] if ranks else 1.0}

    def wrong_always(
        self, truths: Sequence[Any], answers: Sequence[Any], always: Always
    ) -> Mapping[str, Sequence[float]]:
        """Return how wrong as many of the items are that were right most often."""
        rows = [
            self.wrong(truth, always.items(len(answer) if isinstance(answer, list) else 1))
            for truth, answer in zip(truths, answers, strict=True)
        ]
        return {name: [row[name] for row in rows] for name in ("miss", "rank_loss")}

    def tell_always(self, measure: str, always: Always) -> str:
        """Name the items."""
        return "the items that were right most often"


def listed(aligned: Aligned, *, sized: bool = True) -> tuple[Aligned, np.ndarray]:
    """Find the rows that are lists of like items on both sides; note lengths, types and nulls.

    Parameters
    ----------
    aligned : Aligned
    sized : bool
        Whether another length is another structure.

    Returns
    -------
    aligned : Aligned
        With differing lengths and item types marked as structure, and nulls noted.
    measured : ndarray of bool, shape (n_rows,)
    """
    rows = aligned.comparable & (aligned.types == Type.LIST)
    if not rows.any():
        return aligned, rows
    # A set that has grown is a distance; a ranking that has grown is another answer.
    uneven = rows & sized & (widths(aligned.champion, rows) != widths(aligned.lane, rows))
    differs, champion_null, lane_null = item_structure(aligned.champion, aligned.lane, rows)
    aligned = aligned.with_structure(uneven | differs)
    mismatch = champion_null ^ lane_null
    if champion_null.any() or lane_null.any():
        aligned = aligned.with_nulls(
            champion=champion_null, lane=lane_null, mismatch=mismatch & ~differs, equal=rows & False
        )
    return aligned, rows & ~differs & ~mismatch


def came_and_went(m: Matches) -> dict[str, np.ndarray]:
    """Count the items of each row that only the lane has, and those that only the champion has."""
    return {
        GAINED.name: (m.lane_length - m.common).astype(np.float64),
        LOST.name: (m.champion_length - m.common).astype(np.float64),
    }


def movers(champion: Items, lane: Items, k: int = N_MOVERS) -> list[dict[str, Any]]:
    """Return the k items whose share of lists changed most: item, before, after.

    `before` is the champion's share of lists with the item, `after` the lane's.
    """
    before, after = champion.counts(), lane.counts()
    moved = {
        # A sketch keeps only the commonest items of each side; of the others it still has an
        # estimate.
        item: lane.reach(after.get(item) or lane.count(item))
        - champion.reach(before.get(item) or champion.count(item))
        for item in before.keys() | after.keys()
    }
    # By size of the move, then by name: the same table at every look.
    top = heapq.nsmallest(k, moved, key=lambda item: (-abs(moved[item]), item))
    return [
        {
            "item": json.loads(item),
            "before": champion.reach(champion.count(item)),
            "after": lane.reach(lane.count(item)),
        }
        for item in top
    ]
