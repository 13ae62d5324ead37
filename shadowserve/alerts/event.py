"""An event worth an alert, told without a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Event:
    """Something that somebody should hear of, once.

    Parameters
    ----------
    about : str
        ``alarm``, ``verdict``, ``lane``, ``evidence``, ``handover`` or ``test``.
    text : str
        One line for people.
    at : str
        When it was seen: UTC, ISO 8601.
    facts : mapping
        The same for programs: names, numbers and words of ours.
    """

    about: str
    text: str
    at: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Read what `to_dict` returned."""
        return cls(**{name: told[name] for name in cls.__slots__})

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return asdict(self)
