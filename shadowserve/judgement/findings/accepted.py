"""What it means for a finding that the team has accepted it: whether that holds, and if not, why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from shadowserve.state.acceptances import Acceptance


class Ended(StrEnum):
    """Why an acceptance does not hold."""

    OVER = "over"
    """The time that it was given has passed."""
    WORSE = "worse"
    """Its severity has risen: what is known now was not accepted."""
    GROWN = "grown"
    """It is proven larger than what was accepted, by a fifth."""
    TURNED = "turned"
    """It points the other way now: what had gone up has gone down."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """An acceptance as it stands for a finding.

    Parameters
    ----------
    acceptance : Acceptance
    ended : Ended or None
        Why it does not hold; None where it does.
    """

    acceptance: Acceptance
    ended: Ended | None = None

    @property
    def holds(self) -> bool:
        """Whether the finding does not count for the verdict."""
        return self.ended is None

    def to_dict(self) -> dict[str, Any]:
        """Return the report's form."""
        said = self.acceptance
        return {
            "holds": self.holds,
            "ended": self.ended.value if self.ended else None,
            "by": said.by,
            "at": said.at_utc,
            "until": said.until_utc,
            "reason": said.reason,
            "severity": said.severity,
            "value": said.value,
        }
