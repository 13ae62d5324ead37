"""How often requests bring a value of a category that the version never met in training.

Counted by column, in lanes alone; no value is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from shadowserve.schema.disclosure import Disclosure, Rule
from shadowserve.schema.rows import ColumnName, Rows
from shadowserve.scorer.featurization.categories import Categories
from shadowserve.statistics.stored import Stored, named, row


@dataclass(slots=True)
class Count:
    """What one column brought.

    Parameters
    ----------
    rows : int
        Rows looked at.
    unseen : int
        Those of them with a value that the version does not know.
    refuses : bool
        Whether the version fails on such a value.
    """

    rows: int = 0
    unseen: int = 0
    refuses: bool = False

    @property
    def share(self) -> float:
        """Share of rows, 0 to 1; 0 before there are any."""
        return self.unseen / self.rows if self.rows else 0.0


class Unseen(Stored):
    """Counts by column; as many columns as `known_categories` tells of at most."""

    parts: ClassVar = {
        "columns": named(row(Count)),
    }

    def __init__(self) -> None:
        self.columns: dict[str, Count] = {}

    def add(
        self,
        requests: Iterable[Rows | None],
        known: Mapping[str, Categories],
        *,
        disclosure: Disclosure,
    ) -> None:
        """Look at the rows of some requests.

        Parameters
        ----------
        requests : iterable of Rows or None
            As they were typed; None where that failed.
        known : mapping of column to Categories
        disclosure : Disclosure
            Of dropped columns nothing is counted.
        """
        told = {c: one for c, one in known.items() if disclosure.rule(c) is not Rule.DROPPED}
        if not told:
            return
        met: dict[ColumnName, list[Any] | None] = {}
        for rows in requests:
            for name, values in rows.columns.items() if rows is not None else ():
                if name not in met:
                    met[name] = [] if self._column(name, told) else None
                if (own := met[name]) is not None:
                    own += values.tolist()
        for name, seen in met.items():
            if seen is not None and (column := self._column(name, told)) is not None:
                self._count(str(name), seen, told[column])

    def _column(self, name: ColumnName, told: Mapping[str, Categories]) -> str | None:
        """Return which of the version's columns one is; it may know with underscores what has blanks."""
        own = str(name)
        column = own if own in told else own.replace(" ", "_")
        return column if column in told else None

    def _count(self, column: str, values: list[Any], known: Categories) -> None:
        count = self.columns.setdefault(column, Count())
        count.refuses = known.refuses
        count.rows += len(values)
        count.unseen += sum(not known.knows(value) for value in values)
