"""Stays: when a challenger came to a deployment, which place it has there, and when it left.

A version may come again after it left. Each of its stays has files, a run and statistics of its own, so that
nothing of one is mixed with another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from shadowserve.versions.version import Version


@dataclass(frozen=True, slots=True)
class Stay:
    """A challenger's time in a deployment.

    Parameters
    ----------
    place : int
        Which challenger of the deployment it is, from 1; frozen, since its share of alpha rests on it.
    number : int
        The version's how-many-eth stay it is, from 1.
    joined : str or None
        UTC, ISO 8601; None for one that was there from the start.
    """

    place: int
    number: int = 1
    joined: str | None = None


@dataclass(frozen=True, slots=True)
class Left:
    """A challenger that has left, with its last facts.

    Parameters
    ----------
    at : str
        UTC, ISO 8601.
    tried : bool
        Whether it had been compared on as many requests as a verdict takes: then its place stays taken.
    """

    version: Version
    stay: Stay
    at: str
    tried: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return {**asdict(self), "version": self.version.to_dict()}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Self:
        """Read what `to_dict` returned."""
        version, stay = Version.from_dict(raw["version"]), Stay(**raw["stay"])
        return cls(**{**raw, "version": version, "stay": stay})
