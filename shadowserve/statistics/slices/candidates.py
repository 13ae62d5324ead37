"""Candidates for slices: the runs of cells, and pairs of runs, that are proven to disagree more.

Which of them are named, and in what order, is the search's to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np

from shadowserve.statistics.sequential import likelihood_ratio, two_rates
from shadowserve.statistics.sequential.evidence import FloatArray
from shadowserve.statistics.slices.counts import CellCounts, Run

# Every candidate is held against all kept rows again, each time a slice is named.
MOST_PAIRS = 400
PAIR_GAIN = 1.3  # below it, a second column mostly sharpens the boundary of the first


@dataclass(frozen=True, slots=True)
class Candidate:
    """One or two runs of cells, what was counted in them, and how much evidence they need."""

    runs: tuple[Run, ...]
    n: float
    total: float
    n_outside: float
    total_outside: float
    evidence: float
    needed: float


def proven_singles(counts: CellCounts, alpha: float) -> list[Candidate]:
    """Cells and ranges of one column that are proven to disagree more than all else."""
    runs = counts.runs()
    if not runs:
        return []
    n, total = counts.totals_of(runs)
    # Only a value's cell begins late, and it is a run of one: the first cell speaks for its
    # run. Such a cell is held against the rows since then, for earlier ones of its own lie uncounted.
    since = counts.since[:, [cells[0] for _, cells in runs]]
    n_all, total_all = counts.n_rows - since[0], counts.total - since[1]
    evidence = higher(n, total, n_all - n, total_all - total)
    made = []
    for at in np.flatnonzero(evidence > 0):
        cells = counts.cells[runs[at][0]]
        # Shared among all candidates a column can ever have: a cell that comes late must not
        # move the bar of the others.
        needed = log(2 * len(counts.columns) * cells.most_candidates / alpha)
        if evidence[at] >= needed:
            outside = n_all[at] - n[at], total_all[at] - total[at]
            made.append(Candidate((runs[at],), n[at], total[at], *outside, evidence[at], needed))
    return made


def proven_pairs(counts: CellCounts, alpha: float) -> list[Candidate]:
    """Pairs that are proven to disagree more than all else, and than the rest of each parent."""
    paired = set(counts.paired.tolist())
    # Of a run with one cell that is not paired, a part was never counted.
    runs = [run for run in counts.runs() if paired.issuperset(run[1])]
    if not runs:
        return []
    n_single, total_single = counts.totals_of(runs)
    inside = np.array([np.isin(counts.paired, cells) for _, cells in runs], dtype=np.float64)
    first, second = np.triu_indices(len(runs), 1)
    # Names may be numbers and texts, which do not sort together.
    owner = np.unique([str(name) for name, _ in runs], return_inverse=True)[1]
    crossing = owner[first] != owner[second]
    first, second = first[crossing], second[crossing]
    if not first.size:
        return []
    # The paired cells are fixed at the start, so the number of pairs, and with it the bar, stays.
    needed = log(2 * first.size / alpha)
    # Cells of one run exclude each other, so the counts of their pairs add up to the rows in both.
    n = (inside @ counts.pair_n @ inside.T)[first, second]
    total = (inside @ counts.pair_totals @ inside.T)[first, second]
    outside = counts.n_rows - n, counts.total - total
    evidence = higher(n, total, *outside, least=needed)
    alone = higher(n_single, total_single, counts.n_rows - n_single, counts.total - total_single)
    # Where one parent disagrees, all of its pairs differ from the rest of the traffic. A pair
    # is worth naming only if it also stands out within each parent.
    for parent in (first, second):
        likely = np.flatnonzero(evidence >= needed)
        n_rest, total_rest = n_single[parent] - n, total_single[parent] - total
        apart = higher(n[likely], total[likely], n_rest[likely], total_rest[likely])
        worth = (apart >= needed) & (evidence[likely] >= PAIR_GAIN * alone[parent[likely]])
        evidence[likely[~worth]] = -np.inf
    strongest = np.argsort(-evidence)[:MOST_PAIRS]
    return [
        Candidate(
            (runs[first[at]], runs[second[at]]),
            n[at],
            total[at],
            outside[0][at],
            outside[1][at],
            evidence[at],
            needed,
        )
        for at in strongest
        if evidence[at] >= needed
    ]


def higher(
    n: FloatArray,
    total: FloatArray,
    n_b: FloatArray,
    total_b: FloatArray,
    *,
    least: float = -np.inf,
) -> FloatArray:
    """Log evidence that the first rate is the higher one; ``-inf`` where it is not, or below `least`.

    Evidence is at most the log likelihood ratio of two rates to one, which costs a fraction of it.
    """
    # These are differences of rounded sums: a rest may lie a hair below zero or above its rows.
    n, n_b = np.maximum(n, 0.0), np.maximum(n_b, 0.0)
    total, total_b = np.clip(total, 0.0, n), np.clip(total_b, 0.0, n_b)
    # Rates are compared as products, which divide by no empty group.
    told_apart = (total * n_b > total_b * n) & (n > 0) & (n_b > 0)
    if np.isfinite(least):
        told_apart &= likelihood_ratio(n, total, n_b, total_b) >= least
    evidence = np.full(told_apart.shape, -np.inf)
    evidence[told_apart] = two_rates(
        n[told_apart], total[told_apart], n_b[told_apart], total_b[told_apart]
    )
    return evidence
