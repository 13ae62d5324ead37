"""The finding itself, and how a request is named in its message."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from math import isfinite
from typing import Any

from shadowserve.comparison.milestones import Moment


class Severity(StrEnum):
    """How bad: warning and critical are alarms."""

    INFO = "info"
    """What is worth knowing though nothing follows from it."""
    NOTE = "note"
    """A suspicion, or a fault that the champion has too: to be read, never an alarm."""
    WARNING = "warning"
    """An alarm: somebody should look before the version is promoted."""
    CRITICAL = "critical"
    """An alarm that rejects: callers would be harmed."""

    @property
    def is_alarm(self) -> bool:
        """Whether somebody should look."""
        return self in (Severity.WARNING, Severity.CRITICAL)

    def at_most(self, bound: Severity) -> Severity:
        """Return the milder of the two.

        Examples
        --------
        >>> str(Severity.CRITICAL.at_most(Severity.WARNING)), str(Severity.NOTE.at_most(Severity.WARNING))
        ('warning', 'note')
        """
        return min(self, bound, key=list(Severity).index)


@dataclass(frozen=True, slots=True)
class Where:
    """The place that a finding points at; empty parts do not apply."""

    role: str = "challenger"
    step: str | None = None
    columns: tuple[str, ...] = ()
    slice: str | None = None
    items: tuple[str, ...] = ()
    output: str | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """How much: a measure with its interval, beside what it is compared with."""

    measure: str
    value: float
    low: float | None = None
    high: float | None = None
    unit: str = ""
    baseline: float | None = None
    baseline_role: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong.

    Parameters
    ----------
    kind : str
        One of the contract's kinds.
    severity : Severity
        Warning and critical are alarms.
    message : str
        One or two sentences for somebody who does not know the system, with what to do next.
    since : int or None
        Position where it began, as far as is known.
    examples : tuple of int
        Positions.
    """

    kind: str
    severity: Severity
    message: str
    where: Where = field(default_factory=Where)
    effect: Effect | None = None
    since: int | None = None
    examples: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the contract's JSON; numbers that are not finite are null."""
        told = asdict(self)
        told["severity"] = self.severity.value
        told["where"]["columns"] = list(self.where.columns)
        told["where"]["items"] = list(self.where.items)
        told["examples"] = list(self.examples)
        if told["effect"]:
            told["effect"] = {k: _finite(v) for k, v in told["effect"].items()}
        return told


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not isfinite(value) else value


def request(moment: Moment | None) -> str:
    """Write which request it was as people count them, and when it came where that is sharper.

    Examples
    --------
    >>> request(Moment(1203, 0, is_exact=True))
    'request 1,203'
    >>> request(Moment(1203, 1_700_000_000 * 10**9, is_exact=False))
    'about request 1,203 (2023-11-14 22:13:20 UTC)'
    >>> request(None)
    'a request whose number is not known'
    """
    if moment is None:
        return "a request whose number is not known"
    # Of several workers the order is known to about a second, so a bare number would be too sure.
    if moment.is_exact:
        return f"request {moment.number:,}"
    when = datetime.fromtimestamp(moment.arrived_wall_ns / 1e9, UTC)
    return f"about request {moment.number:,} ({when:%Y-%m-%d %H:%M:%S} UTC)"
