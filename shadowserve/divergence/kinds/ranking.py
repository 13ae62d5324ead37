"""Ranked lists of ids: how much two lists share, and how far towards the top."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from shadowserve.divergence.align import Outputs, align
from shadowserve.divergence.codes import code_lists
from shadowserve.divergence.compared import Compared, Measure, compared
from shadowserve.divergence.kind import Given, Parts, mean_of
from shadowserve.divergence.kinds.items import GAINED, LOST, ItemLists, came_and_went, listed
from shadowserve.divergence.ranks import (
    Matches,
    kendall_tau,
    matches,
    rank_biased_overlap,
    top_overlap,
)
from shadowserve.divergence.signs import Declared, Form, Sample, Values
from shadowserve.settings.vocabulary import Kind

MEASURES = (
    Measure.distance(
        "rbo_divergence",
        "how far the two orders lie apart, the first places counting most: 0 the same, 1 disjoint",
    ),
    Measure.distance("top_k_distance", "share of the first places that the two lists do not share"),
    Measure.distance("tau_distance", "share of pairs of shared items that stand in another order"),
    GAINED,
    LOST,
)
# a batch of lists is compared in slices whose pairwise tables stay within a few megabytes
_CELLS = 2_000_000


@dataclass(frozen=True, slots=True)
class RankingDivergence:
    """Compare ranked lists of ids.

    ``rbo_divergence``
        1 - extrapolated rank-biased overlap (`ranks.rank_biased_overlap`): 0 same, 1 disjoint;
        differences near the top weigh more.
    ``top_k_distance``
        1 - share of the first `top_k` places that hold the same items in any order.
    ``tau_distance``
        (1 - Kendall's tau-b) / 2 over the items of either list: 0 same order, 1 reversed.
    ``gained``, ``lost``
        Number of items that only the lane, only the champion shows.

    Lists of different length differ in structure, and are measured all the same. Items of another
    type ("7" for 7) differ in structure and are not measured.

    Parameters
    ----------
    persistence : float
        Webber's p, above 0 and below 1.
    top_k : int
    """

    persistence: float = 0.9
    top_k: int = 5
    kind: str = Kind.RANKING
    measures: tuple[Measure, ...] = MEASURES

    def compare(self, champion: Outputs, lane: Outputs) -> Compared:
        """Compare two sequences of n_rows ranked lists; see `Divergence.compare`."""
        aligned, measured = listed(align(champion, lane))

        def measure(rows: np.ndarray) -> tuple[Mapping[str, np.ndarray], np.ndarray]:
            here = rows.tolist()
            a, b = code_lists([aligned.champion[i] for i in here], [aligned.lane[i] for i in here])
            # Lists of a thousand items make tables of a million cells a row.
            step = max(1, _CELLS // max(1, 4 * a.shape[1] ** 2))
            parts = [
                self._measure(matches(a[start : start + step], b[start : start + step]))
                for start in range(0, len(here), step)
            ]
            found = {m.name: np.concatenate([part[m.name] for part in parts]) for m in MEASURES}
            return found, np.zeros(rows.size, dtype=bool)

        return compared(aligned, measures=MEASURES, measured=measured, measure=measure)

    def _measure(self, m: Matches) -> dict[str, np.ndarray]:
        # One shared item has no order: neither agreement nor disagreement.
        tau = np.nan_to_num(kendall_tau(m), nan=0.0)
        rbo = rank_biased_overlap(m, persistence=self.persistence)
        return {
            "rbo_divergence": 1.0 - rbo,
            "top_k_distance": 1.0 - top_overlap(m, self.top_k),
            "tau_distance": np.clip((1.0 - tau) / 2, 0.0, 1.0),
            **came_and_went(m),
        }


class Ranking(ItemLists):
    """Ranked lists of ids: overlap towards the top, and order."""

    name = Kind.RANKING
    measures = MEASURES
    unit = "rank-biased distance"

    def make(self, given: Given) -> RankingDivergence:
        """Return what compares ranked lists."""
        return RankingDivergence()

    def is_shown_by(self, sample: Sample) -> bool:
        """Whether lists hold distinct ids, and not just 0 and 1."""
        if sample.form is not Form.LIST:
            return False
        if not sample.types:
            return True  # nothing to show; twenty rows later there mostly is
        ids = sample.types in (frozenset({int}), frozenset({str})) and not set(sample.items) <= {
            0,
            1,
        }
        return ids and all(len(set(row)) == len(row) for row in sample.rows)

    def is_declared_by(self, signature: Declared) -> bool:
        """Whether it is a list of ids of any length."""
        ids = signature.values in (Values.WHOLE, Values.NAME)
        return signature.form is Form.LIST and signature.width is None and ids

    def figures(self, parts: Parts) -> dict[str, Any]:
        """Return what lists of items show, and how well the order agrees."""
        distance, tau = mean_of(parts, "rbo_divergence"), mean_of(parts, "tau_distance")
        return {
            **super().figures(parts),
            "rank_biased_overlap": None if distance is None else 1 - distance,
            "kendall_tau": None if tau is None else 1 - 2 * tau,
        }
