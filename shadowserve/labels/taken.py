"""What became of one set of labels, row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from shadowserve.labels.reading import RowList


@dataclass(slots=True)
class Taken:
    """What became of one set of labels, by row.

    Parameters
    ----------
    rows : int
        How many came.
    accepted : int
        New labels.
    duplicate, conflicting : RowList
        The id had the same label already, or another one: the first stays.
    ambiguous : RowList
        Several requests bear the id, so that nobody knows whose label it is.
    unknown : RowList
        No request with the id has been compared yet; the label waits for it.
    respelt : RowList
        Those of them whose id a request bears in another spelling, as before a spreadsheet took it for
        a number. The first `respelt.LOOKED_AT` unknown ids are looked at.
    earlier : RowList
        Those whose request an earlier deployment answered: there they count as whatever became of them.
    """

    rows: int = 0
    accepted: int = 0
    duplicate: RowList = field(default_factory=RowList)
    conflicting: RowList = field(default_factory=RowList)
    ambiguous: RowList = field(default_factory=RowList)
    unknown: RowList = field(default_factory=RowList)
    respelt: RowList = field(default_factory=RowList)
    earlier: RowList = field(default_factory=RowList)

    def add(self, other: Taken) -> None:
        """Add what became of rows that an earlier deployment took."""
        self.accepted += other.accepted
        for name in _LISTS:
            getattr(self, name).extend(getattr(other, name))

    def to_dict(self) -> dict[str, Any]:
        """Return the counts, and the first rows of each, as JSON-able values."""
        told: dict[str, Any] = {"rows": self.rows, "accepted": self.accepted}
        for name in _LISTS:
            found: RowList = getattr(self, name)
            told[name] = {"n": found.n, "rows": found.rows}
        return told

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        """Read what `to_dict` returned."""
        # An owner of an earlier release knows fewer of them.
        lists = {name: RowList(**told.get(name, {})) for name in _LISTS}
        return cls(rows=told["rows"], accepted=told["accepted"], **lists)


_LISTS = ("duplicate", "conflicting", "ambiguous", "unknown", "respelt", "earlier")
