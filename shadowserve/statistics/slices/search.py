"""The slice search: it names the few slices that explain the disagreement, and no other."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from shadowserve.schema.disclosure import NOTHING_SHOWN, Disclosure, Rule
from shadowserve.statistics.sequential import likelihood_ratio, rate_evidence, two_rates
from shadowserve.statistics.sequential.evidence import FloatArray
from shadowserve.statistics.slices.cells import BoolArray, Kind, kind_of
from shadowserve.statistics.slices.condition import Condition
from shadowserve.statistics.slices.counts import CellCounts, ColumnName, Run

MOST_FINDINGS = 5
# Every candidate is held against all kept rows again, each time a slice is named.
MOST_PAIRS = 400
PAIR_GAIN = 1.3  # below it, a second column mostly sharpens the boundary of the first


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of the traffic that disagrees more than the rest.

    Parameters
    ----------
    conditions : tuple of Condition
        One or two columns' parts; a row is in the slice when all hold.
    describe : str
        The slice in words; values as hashed labels unless they were allowed.
    n : int
        Rows in the slice.
    share : float
        Of all rows, from the moment its values were known.
    rate, rate_outside : float
        Mean disagreement within, and in all other rows.
    low, high : float
        Interval of `rate`, valid at every look and for all slices of the search together.
    evidence : float
        Log evidence that the two rates differ; larger is stronger.
    doubted, persisting : int
        Rows of the slice that were scored again since they differ, and those that did as before.
    """

    conditions: tuple[Condition, ...]
    describe: str
    n: int
    share: float
    rate: float
    rate_outside: float
    low: float
    high: float
    evidence: float
    doubted: int = 0
    persisting: int = 0

    @property
    def columns(self) -> tuple[ColumnName, ...]:
        """The columns that the slice speaks of."""
        return tuple(condition.column for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """One or two runs of cells, what was counted in them, and how much evidence they need."""

    runs: tuple[Run, ...]
    n: float
    total: float
    n_outside: float
    total_outside: float
    evidence: float
    needed: float


class SliceSearch:
    """Searches single features and pairs for slices that carry the disagreement.

    Parameters
    ----------
    columns : mapping of name to kind
        ``"number"``, ``"bool"`` or ``"string"``; see `shadowserve.statistics.slices.kind_of`.
    disclosure : Disclosure
        What may be kept of each column's values; by default salted labels of strings, and ranges.

    Notes
    -----
    The evidence for a slice is an e-process for "within and outside have one rate"
    (`shadowserve.statistics.sequential.two_rates`), valid at every look. Alpha is shared by a union
    bound, half among the columns and their cells, half among the pairs. A pair must moreover differ
    from the rest of *each* of its two parents. Boundaries and values are chosen by the features
    alone.

    A sample of rows of fixed size, as many that disagree as not, tells what a named slice leaves
    unexplained. A further slice is named only if it stands out among the sampled rows outside those
    named before.

    Disagreement should use its range: an indicator "beyond tolerance", or an error divided by a
    large one of its kind.

    Examples
    --------
    >>> import numpy as np
    >>> kinds = {"genre": "string", "age": "number"}
    >>> search = SliceSearch(kinds, disclosure=Disclosure(log="all"))
    >>> rng = np.random.default_rng(0)
    >>> genre = rng.choice(["Drama", "Comedy", "Horror"], 2000, p=[0.6, 0.36, 0.04])
    >>> _ = search.add({"genre": genre, "age": rng.normal(40, 9, 2000)}, genre == "Horror")
    >>> [found.describe for found in search.findings(0.05, show={"genre"})]
    ['genre is Horror']
    """

    def __init__(
        self, columns: Mapping[ColumnName, Kind], *, disclosure: Disclosure = NOTHING_SHOWN
    ) -> None:
        self._counts = CellCounts(columns, disclosure=disclosure)

    @property
    def names(self) -> tuple[ColumnName, ...]:
        """The columns that are searched."""
        return tuple(self._counts.columns)

    def fits(self, columns: Mapping[ColumnName, NDArray[Any]]) -> bool:
        """Whether rows have every searched column, of the kind that was declared.

        Rows of a model without signature need not: anybody leaves a column out or names another.
        """
        return all(
            name in columns and kind_of(columns[name].dtype) == kind
            for name, kind in self._counts.columns.items()
        )

    @property
    def n_rows(self) -> int:
        """Rows counted so far; the first 256 wait until the cells are fixed."""
        return self._counts.n_rows

    @property
    def mark(self) -> str:
        """Of the cells, once they are fixed; "" before."""
        return self._counts.mark

    def cells(self) -> Iterator[tuple[int, Condition]]:
        """Yield each cell that a row may be a member of, by its place, with what it stands for."""
        for name, cells in self._counts.cells.items():
            for run in cells.candidates:
                if len(run) == 1:
                    place = self._counts.offsets[name] + run[0]
                    yield place, self._condition((name, (place,)))

    def add(
        self, columns: Mapping[ColumnName, NDArray[Any]], disagreement: ArrayLike
    ) -> BoolArray | None:
        """Take in rows, and return their cells.

        Parameters
        ----------
        columns : mapping of name to ndarray of shape (n_rows,)
            The features; columns that were not declared are ignored.
        disagreement : array-like of shape (n_rows,)
            In [0, 1]; rows with NaN are left out.

        Returns
        -------
        ndarray of shape (n_rows, n_cells), bool, or None
            Which cells each row is in, none for one that was left out. None until cells are fixed.
        """
        return self._counts.add(columns, disagreement)

    def add_again(self, columns: Mapping[ColumnName, NDArray[Any]], same: FloatArray) -> None:
        """Take in rows that were scored a second time since they differ.

        Parameters
        ----------
        columns : mapping of name to ndarray of shape (n_rows,)
            The features, as for `add`, which these rows have gone through too.
        same : ndarray of shape (n_rows,), float64
            1 where a row differs as before, 0 where it does not, NaN where it did not differ.
        """
        self._counts.add_again(columns, same)

    def findings(self, alpha: float, *, show: Collection[ColumnName] = ()) -> list[Slice]:
        """Name the slices that explain the disagreement, strongest first, each at its smallest.

        Parameters
        ----------
        alpha : float
            Probability that traffic without any slice ever names one, over all looks.
        show : collection of column names
            Columns whose values may be shown, as far as they are known; others are named by ranges
            and hashed labels.

        Returns
        -------
        list of Slice
            At most five; empty before 256 rows.
        """
        if not self._counts.total:
            return []
        left = self._singles(alpha) + self._pairs(alpha)
        rest = _Remaining(self._counts)
        named: list[_Candidate] = []
        strength = [candidate.evidence for candidate in left]
        while left and len(named) < MOST_FINDINGS:
            best = left[int(np.argmax(strength))]
            named.append(best)
            # What a named slice explains goes first; else its relatives would fill all five places.
            rest.leave_out(best.runs)
            evidence = rest.evidence([candidate.runs for candidate in left])
            kept = [(c, e) for c, e in zip(left, evidence, strict=True) if e >= c.needed]
            left, strength = [c for c, _ in kept], [e for _, e in kept]
        return [self._slice(candidate, show=show) for candidate in named]

    def explaining(self) -> list[tuple[ColumnName, float]]:
        """Columns by how much of the disagreement one of their cells or ranges explains.

        Returns
        -------
        list of (column, share)
            Most first. The share is the largest squared correlation of a cell or range with the
            disagreement, taken as 0 or 1: 0 explains nothing, 1 all. It describes; it is no test.
        """
        counts = self._counts
        if not 0 < counts.total < counts.n_rows:
            return []
        n, total = self._totals(counts.runs())
        rate = counts.total / counts.n_rows
        # The squared phi coefficient of two yes-or-no variables, written by counts.
        possible = n * (1 - n / counts.n_rows) * rate * (1 - rate) * counts.n_rows
        share = (total - n * rate) ** 2 / np.maximum(possible, 1e-300)
        best: dict[ColumnName, float] = {}
        for (column, _), explained in zip(counts.runs(), share.tolist(), strict=True):
            best[column] = max(best.get(column, 0.0), explained)
        return sorted(best.items(), key=lambda item: -item[1])

    def obeys(self, disclosure: Disclosure) -> bool:
        """Tell whether what was kept so far may be kept: no column is now under a stricter rule.

        A column that has been opened since goes on under its labels.
        """
        return all(
            disclosure.rule(name) in (rule, *((Rule.SHOWN,) if rule is Rule.LABELLED else ()))
            for name, rule in self._counts.rules.items()
        )

    def state(self) -> dict[str, Any]:
        """Everything as JSON-able values; `from_state` gives the same search back.

        It holds values of columns that may be shown only; of others ranges, salted hashes and counts.
        The first rows are not in it: a search restored before 256 rows begins anew.
        """
        counts = self._counts
        columns = [[name, kind, counts.rules[name]] for name, kind in counts.columns.items()]
        salt = counts.disclosure.salt.hex()
        return {"columns": columns, "salt": salt, "counts": counts.state()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> SliceSearch:
        """Rebuild what `state` wrote."""
        rules = {name: rule for name, _, rule in state["columns"]}
        disclosure = Disclosure(
            salt=bytes.fromhex(state["salt"]),
            log=tuple(str(name) for name, rule in rules.items() if rule == Rule.SHOWN),
            hashed=tuple(str(name) for name, rule in rules.items() if rule == Rule.HASHED),
        )
        search = cls({name: kind for name, kind, _ in state["columns"]}, disclosure=disclosure)
        search._counts.restore(state["counts"])
        return search

    def _totals(self, runs: list[Run]) -> tuple[FloatArray, FloatArray]:
        """Rows and summed disagreement of each run."""
        counts = self._counts
        n = np.array([counts.n[list(cells)].sum() for _, cells in runs])
        return n, np.array([counts.totals[list(cells)].sum() for _, cells in runs])

    def _singles(self, alpha: float) -> list[_Candidate]:
        """Cells and ranges of one column that are proven to disagree more than all else."""
        counts, runs = self._counts, self._counts.runs()
        if not runs:
            return []
        n, total = self._totals(runs)
        # Only a value's cell begins late, and it is a run of one: the first cell speaks for its
        # run. Such a cell is held against the rows since then, for earlier ones of its own lie uncounted.
        since = counts.since[:, [cells[0] for _, cells in runs]]
        n_all, total_all = counts.n_rows - since[0], counts.total - since[1]
        evidence = _higher(n, total, n_all - n, total_all - total)
        made = []
        for at in np.flatnonzero(evidence > 0):
            cells = counts.cells[runs[at][0]]
            # Shared among all candidates a column can ever have: a cell that comes late must not
            # move the bar of the others.
            needed = log(2 * len(counts.columns) * cells.most_candidates / alpha)
            if evidence[at] >= needed:
                outside = n_all[at] - n[at], total_all[at] - total[at]
                made.append(
                    _Candidate((runs[at],), n[at], total[at], *outside, evidence[at], needed)
                )
        return made

    def _pairs(self, alpha: float) -> list[_Candidate]:
        """Pairs that are proven to disagree more than all else, and than the rest of each parent."""
        counts = self._counts
        paired = set(counts.paired.tolist())
        # Of a run with one cell that is not paired, a part was never counted.
        runs = [run for run in counts.runs() if paired.issuperset(run[1])]
        if not runs:
            return []
        n_single, total_single = self._totals(runs)
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
        evidence = _higher(n, total, *outside, least=needed)
        alone = _higher(
            n_single, total_single, counts.n_rows - n_single, counts.total - total_single
        )
        # Where one parent disagrees, all of its pairs differ from the rest of the traffic. A pair
        # is worth naming only if it also stands out within each parent.
        for parent in (first, second):
            likely = np.flatnonzero(evidence >= needed)
            n_rest, total_rest = n_single[parent] - n, total_single[parent] - total
            apart = _higher(n[likely], total[likely], n_rest[likely], total_rest[likely])
            worth = (apart >= needed) & (evidence[likely] >= PAIR_GAIN * alone[parent[likely]])
            evidence[likely[~worth]] = -np.inf
        strongest = np.argsort(-evidence)[:MOST_PAIRS]
        return [
            _Candidate(
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

    def _slice(self, candidate: _Candidate, *, show: Collection[ColumnName]) -> Slice:
        conditions = tuple(self._condition(run) for run in candidate.runs)
        words = [c.describe(show_value=c.column in show) for c in conditions]
        low, high = _rate_interval(candidate.n, candidate.total, needed=candidate.needed)
        again = self._counts.again
        same = again.values[_inside(again.members(), candidate.runs)]
        return Slice(
            conditions=conditions,
            describe=" and ".join(words),
            n=round(candidate.n),
            share=float(candidate.n / (candidate.n + candidate.n_outside)),
            rate=float(candidate.total / candidate.n),
            rate_outside=float(candidate.total_outside / candidate.n_outside),
            low=low,
            high=high,
            evidence=float(candidate.evidence),
            doubted=same.size,
            persisting=int(same.sum()),
        )

    def _condition(self, run: Run) -> Condition:
        column, cells = run
        own = tuple(cell - self._counts.offsets[column] for cell in cells)
        return self._counts.cells[column].condition(column, own, kind=self._counts.columns[column])


class _Remaining:
    """The kept rows outside all slices named so far."""

    def __init__(self, counts: CellCounts) -> None:
        # Two samples, of rows that agree and that do not: in one plain sample, rare disagreement
        # would hardly occur.
        self._members = np.concatenate([kept.members() for kept in counts.kept.values()])
        self._values = np.concatenate([kept.values for kept in counts.kept.values()])
        self._counts = counts

    def leave_out(self, runs: tuple[Run, ...]) -> None:
        """Leave out a named slice, and where it is a range its neighbours too.

        The true boundary seldom is that of a cell. Were the neighbours kept, the strip between the
        two would be named next, by this column and by all correlated ones.
        """
        wide = tuple((name, self._counts.widened(name, cells)) for name, cells in runs)
        outside = ~_inside(self._members, wide)
        self._members, self._values = self._members[outside], self._values[outside]

    def evidence(self, candidates: list[tuple[Run, ...]]) -> list[float]:
        """Log evidence for each candidate among the rows that remain."""
        if not self._values.size:
            return [-np.inf] * len(candidates)
        inside = np.array([_inside(self._members, runs) for runs in candidates], dtype=np.float64)
        inside = inside.reshape(len(candidates), -1)
        n, total = inside.sum(axis=1), inside @ self._values
        n_all, total_all = self._values.size, self._values.sum()
        found: list[float] = _higher(n, total, n_all - n, total_all - total).tolist()
        return found


def _inside(members: BoolArray, runs: tuple[Run, ...]) -> BoolArray:
    """Which rows are in all of some runs of cells."""
    inside = np.ones(len(members), dtype=np.bool_)
    for _, cells in runs:
        inside &= members[:, list(cells)].any(axis=1)
    return inside


def _higher(
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


def _rate_interval(n: float, total: float, *, needed: float) -> tuple[float, float]:
    """Rates that the evidence does not refute."""
    rate = min(max(total / n, 0.0), 1.0)

    def refuted(claim: float) -> float:
        return float(rate_evidence(n, total, claim)) - needed

    # A claim of exactly 0 or 1 has infinite evidence against it, which root finding does not take.
    tiny = 1e-12
    low = brentq(refuted, tiny, rate) if rate > tiny and refuted(tiny) > 0 else 0.0
    high = brentq(refuted, rate, 1 - tiny) if rate < 1 - tiny and refuted(1 - tiny) > 0 else 1.0
    return float(low), float(high)
