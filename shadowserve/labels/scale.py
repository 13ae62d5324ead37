"""The cap of a loss that has no bound of its own: set by the spread of the first truths, for good.

It caps the loss of both versions and of the constant answer, by what the truth shows and never by how
wrong the champion is: a cap at the champion's errors would hide what a challenger does worse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, isfinite
from typing import Any, Self

from shadowserve.labels.losses import OWN, bound
from shadowserve.labels.terms import Terms

FIRST = 100
"""Labels that set the cap, and judge nothing."""

TIMES_RANGE = 2.0
MOST_OUTSIDE = 0.01
_SOME = 100


class Scale:
    """Where losses are capped.

    Parameters
    ----------
    cap : float, optional
        A declared one; by default twice the range of the first hundred truths.
    power : int
        The loss is this power of a distance.
    from_zero : bool
        Whether the range is that of a loss, which begins at 0.

    Attributes
    ----------
    later, outside : int
        Truths since, and those of them that lie outside of the first range by more than half of it.
    """

    def __init__(
        self, *, cap: float | None = None, power: int = 1, from_zero: bool = False
    ) -> None:
        self.cap = cap
        self.declared = cap is not None
        self.power = power
        self.low, self.high = (0.0, 0.0) if from_zero else (inf, -inf)
        self.n = self.later = self.outside = 0

    def takes(self, truths: Sequence[float]) -> bool:
        """Take the truths of one label in, and return whether it is one that sets the cap."""
        if self.declared:
            return False
        known = [value for value in truths if isfinite(value)]
        if self.cap is not None:
            reach = (self.high - self.low) / 2
            beyond = any(not self.low - reach <= value <= self.high + reach for value in known)
            self.later += 1
            self.outside += beyond
            return False
        self.low, self.high = min([self.low, *known]), max([self.high, *known])
        self.n += 1
        # A hundred equal truths have no range, so the cap waits for another one.
        if self.n >= FIRST and self.high > self.low:
            self.cap = (TIMES_RANGE * (self.high - self.low)) ** self.power
        return True

    @property
    def wants(self) -> int:
        """How many more labels it takes to set the cap."""
        return max(1, FIRST - self.n) if self.cap is None else 0

    @property
    def is_too_small(self) -> bool:
        """Whether later truths show that the first ones were no measure: then a cap must be declared."""
        return self.later >= _SOME and self.outside > MOST_OUTSIDE * self.later

    def state(self) -> dict[str, Any]:
        """Return everything as JSON-able values."""
        ends = [end if isfinite(end) else None for end in (self.low, self.high)]
        counts = [self.n, self.later, self.outside]
        return {
            "cap": self.cap, "declared": self.declared, "power": self.power, "ends": ends, "counts": counts
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Read what `state` wrote."""
        it = cls(cap=state["cap"], power=state["power"])
        it.declared = state["declared"]
        low, high = state["ends"]
        it.low, it.high = (inf if low is None else low), (-inf if high is None else high)
        it.n, it.later, it.outside = state["counts"]
        return it


def scale_of(measure: str, terms: Terms) -> Scale:
    """Return where a loss is capped: by its own bound, by what is declared, or by the first truths."""
    if (most := bound(measure)) is not None:
        return Scale(cap=most)
    if measure == "cost":
        costs = [cost for row in terms.costs.values() for cost in row.values()]
        return Scale(cap=max(costs))
    power = 2 if measure == "squared_error" else 1
    if terms.cap is not None:
        return Scale(cap=terms.cap**power)
    return Scale(power=power, from_zero=measure == OWN)
