"""The ledger of alpha: what all alarms of a deployment together may cost in false ones."""

from __future__ import annotations

from collections.abc import Mapping
from math import pi
from typing import Any


class AlphaLedger:
    """Shares one alpha among kinds of alarm, and a kind's share among its looks.

    Parameters
    ----------
    total : float
        Probability that any alarm is ever false, in (0, 1).
    kinds : mapping of str to float
        Relative weight of each kind; the shares add up to `total`.

    Notes
    -----
    A sequential statistic, valid at every look, takes its kind's share once (`standing`). A
    statistic computed afresh per window takes ``share * 6 / (pi^2 k^2)`` at its k-th window
    (`window`); these add up to the share however long the deployment lives (Basel sum, a union
    bound). A kind is used in one of the two ways.

    Examples
    --------
    >>> ledger = AlphaLedger(0.05, {"latency": 1, "slices": 3})
    >>> round(ledger.standing("slices"), 6), ledger.window("latency") > ledger.window("latency")
    (0.0375, True)
    >>> ledger.spent <= 0.05
    True
    """

    def __init__(self, total: float, kinds: Mapping[str, float]) -> None:
        if not 0 < total < 1:
            raise ValueError(f"An alpha lies between 0 and 1, got {total}.")
        if not kinds or not all(weight > 0 for weight in kinds.values()):
            raise ValueError("An alpha ledger needs at least one kind, each with positive weight.")
        self.total = total
        self.kinds = dict(kinds)
        self._looks: dict[str, int] = {}

    def share(self, kind: str) -> float:
        """All that `kind` may ever spend. Raises LookupError for a kind that was not declared."""
        if kind not in self.kinds:
            raise LookupError(
                f"No alpha is set aside for {kind!r}; declared: {sorted(self.kinds)}."
            )
        return self.total * self.kinds[kind] / sum(self.kinds.values())

    def standing(self, kind: str) -> float:
        """Spend the whole share on one statistic that is valid at every look; may be asked again."""
        share = self.share(kind)
        if self._looks.setdefault(kind, 0) > 0:
            raise ValueError(f"{kind!r} already spends by window; give the other use its own kind.")
        return share

    def window(self, kind: str) -> float:
        """Spend the next window's part of the share; each call is one window."""
        if self._looks.get(kind) == 0:
            raise ValueError(f"{kind!r} is already spent whole; give the other use its own kind.")
        share = self.share(kind)
        self._looks[kind] = self._looks.get(kind, 0) + 1
        return share * _part(self._looks[kind])

    def spends(self) -> dict[str, float]:
        """Return what each kind has spent so far."""
        return {
            kind: self.share(kind) * (sum(map(_part, range(1, looks + 1))) if looks else 1.0)
            for kind, looks in self._looks.items()
        }

    @property
    def spent(self) -> float:
        """All that has been spent, never more than `total`."""
        return min(sum(self.spends().values()), self.total)

    def state(self) -> dict[str, Any]:
        """Everything as JSON-able values; `from_state` gives the same ledger back."""
        return {"total": self.total, "kinds": dict(self.kinds), "looks": dict(self._looks)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> AlphaLedger:
        """Rebuild what `state` wrote."""
        ledger = cls(state["total"], state["kinds"])
        ledger._looks = dict(state["looks"])
        return ledger


def _part(look: int) -> float:
    return 6 / (pi * look) ** 2
