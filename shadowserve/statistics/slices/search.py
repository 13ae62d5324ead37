"""The slice search: it names the few slices that explain the disagreement, and no other."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from shadowserve.schema.disclosure import NOTHING_SHOWN, Disclosure, Rule
from shadowserve.statistics.sequential import rate_evidence
from shadowserve.statistics.sequential.evidence import FloatArray
from shadowserve.statistics.slices.candidates import Candidate, proven_pairs, proven_singles
from shadowserve.statistics.slices.canonical import Kind, kind_of
from shadowserve.statistics.slices.cells import BoolArray
from shadowserve.statistics.slices.condition import Condition
from shadowserve.statistics.slices.counts import CellCounts, ColumnName, Run
from shadowserve.statistics.slices.remaining import Remaining, inside
from shadowserve.statistics.slices.slice import Slice

MOST_FINDINGS = 5
"""Slices named at most: a reader acts on the first, and the others are seldom its equals."""


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
        self._found: dict[tuple[float, frozenset[ColumnName]], list[Slice]] = {}

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
        self._found.clear()
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
        self._found.clear()
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
        # Findings and report ask the same of the same counts.
        asked = (alpha, frozenset(show))
        if asked not in self._found:
            self._found[asked] = self._strongest(alpha, show=show)
        return list(self._found[asked])

    def _strongest(self, alpha: float, *, show: Collection[ColumnName]) -> list[Slice]:
        if not self._counts.total:
            return []
        left = proven_singles(self._counts, alpha) + proven_pairs(self._counts, alpha)
        rest = Remaining(self._counts)
        named: list[Candidate] = []
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
        n, total = counts.totals_of(counts.runs())
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

    def _slice(self, candidate: Candidate, *, show: Collection[ColumnName]) -> Slice:
        conditions = tuple(self._condition(run) for run in candidate.runs)
        words = [c.describe(show_value=c.column in show) for c in conditions]
        low, high = _rate_interval(candidate.n, candidate.total, needed=candidate.needed)
        again = self._counts.again
        same = again.values[inside(again.members(), candidate.runs)]
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
