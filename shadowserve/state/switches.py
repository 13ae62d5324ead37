"""Switches: that an alias was moved from one version to another, by whom, when, why and on which grounds.

A switch is told to the registry as tags of both versions, to whoever finds the lock of a promoter that died,
and to the deployment that it rests on, in one small file that goes to the archive with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self

from shadowserve.legible import legible
from shadowserve.state.files import write_whole
from shadowserve.state.places import Places

SCHEMA = "shadowserve/switched/1"
TAG = "shadowserve.switch"
"""A version's tag: what last became of it. What belongs to it stands in tags of this name and a dot."""
KEPT = 100
LONGEST_REASON = 1_000
_NONE = "none"


@dataclass(frozen=True, slots=True)
class Switch:
    """One alias moved once.

    Parameters
    ----------
    former : int or None
        What the alias stood for; None where it was set for the first time.
    by, at : str
        Who, as far as is known, and when: UTC, ISO 8601.
    reason : str
        Why, legible.
    back : bool
        Whether it undid an earlier one.
    against : tuple of str
        What spoke against it and was overruled, in the words of then.
    verdict, run_id, deployment : str or None
        What it rests on.
    """

    model: str
    alias: str
    former: int | None
    successor: int
    by: str
    reason: str
    at: str = ""
    back: bool = False
    against: tuple[str, ...] = ()
    verdict: str | None = None
    run_id: str | None = None
    deployment: str | None = None

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Read what `to_dict` returned; what a later release adds is left out."""
        known = {name: told[name] for name in cls.__slots__ if name in told}
        return cls(**{**known, "against": tuple(known.get("against", ()))})

    @classmethod
    def from_json(cls, text: str) -> Self | None:
        """Read what `to_json` wrote; None where it is something else."""
        try:
            return cls.of(json.loads(text))
        except (ValueError, TypeError, LookupError, AttributeError):
            return None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {**asdict(self), "against": list(self.against)}

    def to_json(self) -> str:
        """Return it as a text, which stands in one tag of a registry."""
        # Escapes would make a text of another script six times as long.
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def at_time(self, at: str) -> Self:
        """Return it as done at a time."""
        return replace(self, at=at)

    @property
    def says(self) -> str:
        """Say what was done, in a sentence."""
        place = (
            f"in v{self.former}'s place" if self.former is not None else "set for the first time"
        )
        what = "is back as" if self.back else "was promoted to"
        return f"v{self.successor} {what} @{self.alias}, {place}, by {self.by} on {self.at}: {self.reason}"

    def tags(self) -> dict[int, dict[str, str]]:
        """Return the tags that tell of it, by version; all of them, so that none of an earlier one stays."""
        words = ("restored", "rolled back") if self.back else ("promoted", "replaced")
        others = {self.successor: (words[0], self.former)}
        if self.former is not None:
            others[self.former] = (words[1], self.successor)
        return {number: self._tags(*told) for number, told in others.items()}

    def _tags(self, what: str, other: int | None) -> dict[str, str]:
        facts = {
            "other": other,
            "alias": self.alias,
            "by": self.by,
            "at": self.at,
            "reason": self.reason,
            "verdict": self.verdict,
            "run_id": self.run_id,
            "deployment": self.deployment,
            "overruled": "; ".join(self.against),
        }
        told = {name: str(value)[:4_000] if value else _NONE for name, value in facts.items()}
        # The word comes last: where it stands, the others do too.
        return {**{f"{TAG}.{name}": value for name, value in told.items()}, TAG: what}


def now() -> str:
    """Return the time as switches tell it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def worded(reason: str) -> str:
    """Return a reason as it is kept: one line in which nothing acts."""
    # What is not printable grows when it is escaped.
    return legible(" ".join(reason.split()), most=LONGEST_REASON)[:LONGEST_REASON]


def read(places: Places, deployment_id: str) -> tuple[Switch, ...]:
    """Return the switches that a deployment gave grounds to, the oldest first; what cannot be read is none.

    The registry's tags are the record; this file only lets a report tell of it.
    """
    with suppress(OSError, ValueError, TypeError, LookupError):
        told = json.loads(places.switched.read_text())
        if told["deployment"] == deployment_id:
            return tuple(Switch.of(one) for one in told["switches"])
    return ()


def add(places: Places, switch: Switch) -> None:
    """Remember a switch in the directory of its deployment, once.

    Raises
    ------
    OSError
        If the directory cannot be written.
    """
    before = read(places, switch.deployment or "")
    if switch in before:
        return
    kept = [*before, switch][-KEPT:]
    told = {
        "schema": SCHEMA,
        "deployment": switch.deployment,
        "switches": [one.to_dict() for one in kept],
    }
    write_whole(places.switched, json.dumps(told, indent=1))
