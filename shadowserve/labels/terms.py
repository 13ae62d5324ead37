"""What losses are judged by: the part of the policy that labels need, fixed when they begin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from shadowserve.labels.reading import Text
from shadowserve.settings.policy import Policy
from shadowserve.statistics.tally.keys import class_key


@dataclass(frozen=True, slots=True)
class Terms:
    """The loss that was chosen, and how much of the champion's gain may be lost.

    Parameters
    ----------
    chosen : str
        As `Policy.loss`; empty for the kind's own.
    allowed : float
        Share of what the champion gains over the constant answer that a challenger may lose.
    cap : float or None
        The most that a loss without a bound of its own counts; None: from the first labels.
    costs : mapping of label to (mapping of answer to cost)
        Keys as in `class_key`; empty where costs decide nothing.
    """

    chosen: str = ""
    allowed: float = 0.3
    cap: float | None = None
    costs: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, policy: Policy) -> Self:
        """Return the terms of a policy."""
        return cls(
            policy.loss,
            policy.allowed_loss,
            policy.loss_cap or None,
            {
                _key(t): {_key(a): float(c) for a, c in row.items()}
                for t, row in policy.costs.items()
            },
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the terms as JSON-able values."""
        return {
            "chosen": self.chosen,
            "allowed": self.allowed,
            "cap": self.cap,
            "costs": self.costs,
        }


def _key(written: str) -> str:
    """Return a class as `class_key` writes it; a settings file knows keys that are texts only.

    A number or a truth value in the file's key means the number, since it is what a model answers.
    """
    return class_key(Text(written).scalar())
