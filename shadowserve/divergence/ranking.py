"""Ranked lists of ids: how much two lists share, and how far towards the top."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from shadowserve.divergence.align import Aligned, Outputs, Type, align
from shadowserve.divergence.blocks import widths
from shadowserve.divergence.codes import code_lists, item_structure
from shadowserve.divergence.compared import Compared, Kind, Measure, Swap, compared
from shadowserve.divergence.ranks import (
    Matches,
    kendall_tau,
    matches,
    rank_biased_overlap,
    top_overlap,
)

MEASURES = (
    Measure("rbo_divergence", 0, 1),
    Measure("top_k_distance", 0, 1),
    Measure("tau_distance", 0, 1),
    Measure("gained", 0, np.inf, Swap.FREE),
    Measure("lost", 0, np.inf, Swap.FREE),
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
    kind: Kind = Kind.RANKING
    measures: tuple[Measure, ...] = MEASURES

    def compare(self, champion: Outputs, lane: Outputs) -> Compared:
        """Compare two sequences of n_rows ranked lists; see `Divergence.compare`."""
        aligned, measured = listed(align(champion, lane))

        def measure(rows: np.ndarray) -> tuple[Mapping[str, np.ndarray], np.ndarray]:
            here = rows.tolist()
            a, b = code_lists([aligned.champion[i] for i in here], [aligned.lane[i] for i in here])
            step = max(1, _CELLS // max(1, 4 * a.shape[1] ** 2))
            parts = [
                self._measure(matches(a[start : start + step], b[start : start + step]))
                for start in range(0, len(here), step)
            ]
            found = {m.name: np.concatenate([part[m.name] for part in parts]) for m in MEASURES}
            return found, np.zeros(rows.size, dtype=bool)

        return compared(aligned, measures=MEASURES, measured=measured, measure=measure)

    def _measure(self, m: Matches) -> dict[str, np.ndarray]:
        common = m.same.sum(axis=(1, 2))
        tau = np.nan_to_num(kendall_tau(m), nan=0.0)
        rbo = rank_biased_overlap(m, persistence=self.persistence)
        return {
            "rbo_divergence": 1.0 - rbo,
            "top_k_distance": 1.0 - top_overlap(m, self.top_k),
            "tau_distance": np.clip((1.0 - tau) / 2, 0.0, 1.0),
            "gained": (m.lane_length - common).astype(np.float64),
            "lost": (m.champion_length - common).astype(np.float64),
        }


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
    uneven = rows & sized & (widths(aligned.champion, rows) != widths(aligned.lane, rows))
    differs, champion_null, lane_null = item_structure(aligned.champion, aligned.lane, rows)
    aligned = aligned.with_structure(uneven | differs)
    mismatch = champion_null ^ lane_null
    if champion_null.any() or lane_null.any():
        aligned = aligned.with_nulls(
            champion=champion_null, lane=lane_null, mismatch=mismatch & ~differs, equal=rows & False
        )
    return aligned, rows & ~differs & ~mismatch
