"""How many rows agreed, and of those that could not be measured, why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Self

from shadowserve.divergence.compared import Compared
from shadowserve.statistics.tally.state import State, checked, labelled

MAX_TYPES = 64
_COUNTS = (
    "n",
    "exact",
    "tolerant",
    "structure",
    "nan_mismatch",
    "champion_nonfinite",
    "lane_nonfinite",
)


class Agreement:
    """Counts of rows by how they compare; the pairs of types are bounded at 64."""

    __slots__ = ("counts", "types")

    def __init__(self) -> None:
        self.counts = dict.fromkeys(_COUNTS, 0)
        self.types: Counter[tuple[str, str]] = Counter()

    def add(self, compared: Compared) -> None:
        """Take a batch."""
        self.counts["n"] += compared.n_rows
        for name in _COUNTS[1:]:
            self.counts[name] += int(getattr(compared, name).sum())
        self._add_types(compared.kind_of_structure)

    def _add_types(self, types: Mapping[tuple[str, str], int]) -> None:
        for pair, n in types.items():
            # Lists bear their length in the name, so pairs of types have no end.
            room = pair in self.types or len(self.types) < MAX_TYPES
            self.types[pair if room else ("other", "other")] += n

    def summary(self) -> dict[str, Any]:
        """Return the counts, the shares of exact and tolerant agreement, and the types that differ."""
        n = self.counts["n"]
        types = sorted(self.types.items(), key=lambda row: (-row[1], row[0]))
        return {
            **self.counts,
            "share_exact": self.counts["exact"] / n if n else None,
            "share_tolerant": self.counts["tolerant"] / n if n else None,
            "types": [{"champion": a, "lane": b, "n": k} for (a, b), k in types],
        }

    def state(self) -> State:
        """Return the counts."""
        types = [[a, b, n] for (a, b), n in self.types.items()]
        return labelled("agreement", counts=dict(self.counts), types=types)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Read back what `state` wrote."""
        s = checked(state, "agreement")
        it = cls()
        it.counts.update(s["counts"])
        it.types = Counter({(a, b): n for a, b, n in s["types"]})
        return it
