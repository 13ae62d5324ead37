"""What every comparison yields, whatever the kind of output.

`Measure` declares a number, `Divergence` is the contract of a kind, `Compared` is one batch laid
side by side. A row falls into one of four: it is measured; it is null on one side only
(`nan_mismatch`); its type, shape or length differs (`structure`); or it is null on both sides,
which is equal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, Self

import numpy as np

from shadowserve.divergence.align import Aligned, Outputs


class Swap(StrEnum):
    """What a measure does when champion and lane change places."""

    SAME = "same"
    """Nothing: it is a distance. Neither side is the right one, so most measures are of this sort."""

    SIGN = "sign"
    """It changes its sign and keeps its size, as a difference does: it tells who says more."""

    FREE = "free"
    """It may become any other number, as a count of what only one side has.

    The battery of tests that swaps both sides asks nothing of such a measure.
    """


@dataclass(frozen=True, slots=True)
class Measure:
    """One number a row. It is 0 where both sides are equal.

    Parameters
    ----------
    meaning : str
        What it says, in the words of a report's reader.
    """

    name: str
    low: float
    high: float
    swap: Swap = Swap.SAME
    meaning: str = ""

    @classmethod
    def distance(cls, name: str, meaning: str) -> Self:
        """Return a measure in [0, 1] that both sides share: 0 alike, 1 as far apart as can be."""
        return cls(name, 0, 1, meaning=meaning)


DISAGREEMENT = Measure.distance(
    "disagreement", "0 the same answer, 1 another one; what the verdict's limit is about"
)


@dataclass(frozen=True, slots=True)
class Compared:
    """One batch of champion's and lane's outputs, side by side; all arrays of shape (n_rows,).

    Parameters
    ----------
    values : mapping of measure name to ndarray, float64
        NaN where the row has no such number: it enters no mean.
    primary : str
        The measure that is bounded: 0 same, 1 disjoint.
    structure : ndarray of bool
        Type, shape or length differs.
    kind_of_structure : mapping of (champion type, lane type) to count
    exact, tolerant : ndarray of bool
        Equal to the last bit (1 and 1.0 are equal, so are two nulls), and equal within tolerance.
    nan_mismatch : ndarray of bool
        Null, NaN or infinite on one side only.
    champion_nonfinite, lane_nonfinite : ndarray of bool
        Null, NaN or infinite, or holding such a value.
    parts : mapping of field to Compared
        The fields of a record or the outputs of a multi-output row.
    """

    values: Mapping[str, np.ndarray]
    primary: str
    structure: np.ndarray
    kind_of_structure: Mapping[tuple[str, str], int]
    exact: np.ndarray
    tolerant: np.ndarray
    nan_mismatch: np.ndarray
    champion_nonfinite: np.ndarray
    lane_nonfinite: np.ndarray
    parts: Mapping[str, Compared] = field(default_factory=dict)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.structure.size)

    def disagreement(self) -> np.ndarray:
        """Primary measure of every row, in [0, 1]; 1 where there is nothing to measure.

        What verdicts and worst-of lists use: a row that cannot be compared is not agreement.

        Returns
        -------
        ndarray of shape (n_rows,), float64, without NaN
        """
        primary = self.values[self.primary]
        return np.where(np.isnan(primary), 1.0, primary)


class Divergence(Protocol):
    """How outputs of one kind are compared."""

    @property
    def kind(self) -> str:
        """Name of the kind of output this compares."""
        ...

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The numbers of a row, the primary one first."""
        ...

    def compare(self, champion: Outputs, lane: Outputs) -> Compared:
        """Compare two aligned sequences of n_rows outputs.

        If their lengths differ, every row is a difference of structure.
        """
        ...


def names(divergence: Divergence) -> tuple[str, ...]:
    """Names of a divergence's measures, the primary one first."""
    return tuple(measure.name for measure in divergence.measures)


def compared(
    aligned: Aligned,
    *,
    measures: tuple[Measure, ...],
    measured: np.ndarray,
    measure: Callable[[np.ndarray], tuple[Mapping[str, np.ndarray], np.ndarray]],
) -> Compared:
    """Measure the rows that can be measured, and settle the others.

    Parameters
    ----------
    aligned : Aligned
    measures : tuple of Measure
        The primary one first.
    measured : ndarray of bool, shape (n_rows,)
        Rows that are of the kind on both sides.
    measure : callable
        Given the indices of the measured rows, returns their values by name and whether they agree
        within tolerance. A row whose two sides are equal needs no measure: all its numbers are 0.

    Notes
    -----
    Rows that are alike in type but not of the kind (two strings where numbers are the rule) are
    judged by equality alone: primary 0 or 1, other numbers NaN unless equal.
    """
    # Measuring is dear and a distance from itself is 0, so only rows that differ are measured.
    rows = np.flatnonzero(measured & ~aligned.equal)
    found, close = measure(rows) if rows.size else ({}, np.zeros(0, dtype=bool))
    other = aligned.comparable & ~measured & ~aligned.equal & ~aligned.structure
    values = {}
    for position, one in enumerate(measures):
        column = np.where(aligned.equal, 0.0, np.nan)
        if rows.size:
            column[rows] = found[one.name]
        if position == 0:
            # Two texts where numbers are the rule: the same or not is all that can be said of them.
            column[other] = 1.0
        values[one.name] = column
    tolerant = aligned.equal.copy()
    # A row that is equal is close as well, and one that was not measured is not.
    tolerant[rows] = close
    return Compared(
        values=values,
        primary=measures[0].name,
        structure=aligned.structure,
        kind_of_structure=Counter(aligned.differing_types()),
        exact=aligned.equal,
        tolerant=tolerant,
        nan_mismatch=aligned.nan_mismatch,
        champion_nonfinite=aligned.champion_nonfinite,
        lane_nonfinite=aligned.lane_nonfinite,
    )
