"""A slice that the search has named: its conditions, its rates and their evidence."""

from __future__ import annotations

from dataclasses import dataclass

from shadowserve.statistics.slices.condition import Condition
from shadowserve.statistics.slices.counts import ColumnName


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
    def keys(self) -> tuple[str, ...]:
        """What tells it from other slices: its conditions, each by what it stands for."""
        return tuple(condition.key for condition in self.conditions)

    @property
    def columns(self) -> tuple[ColumnName, ...]:
        """The columns that the slice speaks of."""
        return tuple(condition.column for condition in self.conditions)
