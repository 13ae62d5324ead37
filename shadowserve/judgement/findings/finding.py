"""The finding itself, and how a request is named in its message."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from math import isfinite
from typing import Any

from shadowserve.comparison.milestones import Moment
from shadowserve.judgement.findings.accepted import Accepted

ID_DIGITS = 8


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
    """The place that a finding points at; empty parts do not apply.

    Parameters
    ----------
    slice : str or None
        In words, which show values where they may be shown.
    conditions : tuple of str
        What tells the slice from others, however it is worded. No report has it.
    """

    role: str = "challenger"
    step: str | None = None
    columns: tuple[str, ...] = ()
    slice: str | None = None
    items: tuple[str, ...] = ()
    output: str | None = None
    conditions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Effect:
    """How much: a measure with its interval, beside what it is compared with.

    Parameters
    ----------
    less_is_worse : bool
        Whether a finding grows as its measure falls. No report has it.
    tells_harm : bool
        Whether the measure says how bad it is: the power of a growth says how, and not how much. No report
        has it.
    """

    measure: str
    value: float
    low: float | None = None
    high: float | None = None
    unit: str = ""
    baseline: float | None = None
    baseline_role: str | None = None
    less_is_worse: bool = False
    tells_harm: bool = True


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
    aspect : str
        What tells it from findings that are alike in all else, where there may be several.
    explained : bool
        Whether columns and slice only explain it: they may change as more is known, and it stays the same.
    accepted : Accepted or None
        That the team has accepted it, and whether that holds.
    """

    kind: str
    severity: Severity
    message: str
    where: Where = field(default_factory=Where)
    effect: Effect | None = None
    since: int | None = None
    examples: tuple[int, ...] = ()
    aspect: str = ""
    explained: bool = False
    accepted: Accepted | None = None

    @property
    def id(self) -> str:
        """Eight hexadecimal digits that stay the same for as long as it is the same finding.

        Two findings are the same one where all of this is alike: kind, role, step, what was measured,
        columns in whatever order, and the slice's conditions in whatever order. Columns and slice do not
        count where they only explain it. How bad it is, since when and with which examples never counts.
        """
        place = () if self.explained else (self.where.columns, self.where.conditions)
        same = [
            self.kind,
            self.where.role,
            self.where.step,
            self.effect.measure if self.effect else None,
            self.aspect,
            *(sorted(set(part)) for part in place),
        ]
        return hashlib.sha256(json.dumps(same).encode()).hexdigest()[:ID_DIGITS]

    @property
    def decides(self) -> bool:
        """Whether it counts for the verdict: not where the team has accepted it, and that holds."""
        return self.accepted is None or not self.accepted.holds

    def to_dict(self) -> dict[str, Any]:
        """Return the contract's JSON; numbers that are not finite are null."""
        where, effect = asdict(self.where), asdict(self.effect) if self.effect else None
        del where["conditions"]
        if effect:
            del effect["less_is_worse"], effect["tells_harm"]
        return {
            "id": self.id,
            "kind": self.kind,
            "severity": self.severity.value,
            "message": self.message,
            "where": {**where, "columns": list(where["columns"]), "items": list(where["items"])},
            "effect": {k: _finite(v) for k, v in effect.items()} if effect else None,
            "since": self.since,
            "examples": list(self.examples),
            "accepted": self.accepted.to_dict() if self.accepted else None,
        }


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
