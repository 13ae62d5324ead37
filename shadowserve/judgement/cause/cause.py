"""The cause itself: what carries a divergence, how sure that is, and how it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from shadowserve.scorer.parts import Outline

MOST_INTERACTION = 0.1
"""Of the divergence; beyond it features and weights do not act apart, and nothing is claimed."""


class Kind(StrEnum):
    """What the difference of two versions comes from."""

    WEIGHTS = "weights"
    """What comes after featurization: the estimator."""
    FEATURES = "features"
    """Featurization: the same estimator is handed something else."""
    BOTH = "both"
    """Each carries its own part."""
    NONE = "none"
    """They answer alike."""
    UNKNOWN = "unknown"
    """It cannot be known, for a reason that is told."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share of the divergence with its 95 % interval, from resampled requests.

    A part that works against the divergence has a share below 0.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.0%} ({self.low:.0%} to {self.high:.0%})"


@dataclass(frozen=True, slots=True)
class Carrier:
    """A step that carries a part of the divergence.

    Parameters
    ----------
    step : str
        Its path, or ``input`` where the versions type a request otherwise.
    columns : tuple of str
        The request's columns that it reads.
    share : Share
        Of the divergence.
    what : str
        What about it is another, in words.
    """

    step: str
    columns: tuple[str, ...]
    share: Share
    what: str


@dataclass(frozen=True, slots=True)
class Cause:
    """What carries the divergence of two versions on recorded requests.

    Parameters
    ----------
    kind : Kind
    says : str
        One or two sentences.
    proven : bool
        Whether it follows from fitted state alone; else it is what was seen on these requests.
    rows, differing : int
        Rows that both were asked, and those that they answered differently.
    measure : str
        In what the shares are measured.
    features, weights : Share or None
        None where it was not measured.
    interaction : Share or None
        What neither carries alone, as a share of the divergence.
    carriers : tuple of Carrier
        The largest first.
    unmatched : tuple of str
        What could not be laid side by side.
    """

    kind: Kind
    says: str
    proven: bool = False
    rows: int = 0
    differing: int = 0
    measure: str = ""
    features: Share | None = None
    weights: Share | None = None
    interaction: Share | None = None
    carriers: tuple[Carrier, ...] = ()
    unmatched: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            **asdict(self),
            "kind": self.kind.value,
            "carriers": [{**asdict(one), "columns": list(one.columns)} for one in self.carriers],
            "unmatched": list(self.unmatched),
        }


class Side(Protocol):
    """A version taken apart, wherever it is loaded; see `scorer.apart.Apart`."""

    @property
    def has_scores(self) -> bool:
        """Whether it serves labels, and has probabilities beside them."""
        ...

    def outline(self) -> Outline:
        """Return its parts."""
        ...

    def value(self, place: str, given: Mapping[str, Any]) -> Any:
        """Return what lies at a place when others are given."""
        ...

    def answers(self, given: Mapping[str, Any], *, scores: bool = False) -> Any:
        """Return its answers when something is given."""
        ...


def listed(names: Sequence[str], most: int = 4) -> str:
    """Name some things in a sentence.

    Examples
    --------
    >>> listed(["a", "b"]), listed(list("abcdef"))
    ('a and b', 'a, b, c, d and 2 more')
    """
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
