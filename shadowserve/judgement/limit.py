"""One limit of the policy, as it stands: in words, and in numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import ceil
from typing import Any


@dataclass(frozen=True, slots=True)
class Standing:
    """What a limit is about, in numbers.

    Parameters
    ----------
    low, high : float
        Between which it lies, by the bounds that the limit is judged by; alike for a count.
    allowed : float
        The limit itself: the least for coverage, else the most.
    unit : str
        ``requests``, ``share`` or ``ratio``.
    """

    low: float
    high: float
    allowed: float
    unit: str


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of the policy and how it stands.

    Parameters
    ----------
    state : str
        ``kept``, ``broken`` or ``undecided``, each proven but the last.
    more : int or None
        Requests that deciding it still takes at the present rate; None where that cannot be told.
        Compared ones: where a share is sampled, more must come.
    accepted : str or None
        Id of an accepted finding that tells the same: the limit does not decide then, however it stands.
    stands : Standing or None
        The same in numbers; None where nothing is known.
    """

    name: str
    state: str
    says: str
    more: int | None = None
    stands: Standing | None = None
    accepted: str | None = None

    def to_dict(self, *, sample_rate: float = 1.0) -> dict[str, Any]:
        """Return the limit as JSON-able values, with how many requests must come for `more`."""
        # Labels arrive by their own pace, whatever share of the requests is sampled.
        known = self.more is not None and self.name != "loss" and sample_rate > 0
        traffic = ceil(round((self.more or 0) / sample_rate, 6)) if known else None
        return {
            "name": self.name,
            "state": self.state,
            "says": self.says,
            "more": self.more,
            "more_traffic": traffic,
            "accepted": self.accepted,
            "stands": asdict(self.stands) if self.stands else None,
        }
