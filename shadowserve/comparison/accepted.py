"""What is known of requests that the champion refused: how many a version's own signature would take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(slots=True)
class Accepted:
    """What was tried so far.

    Parameters
    ----------
    tried : int
        Refused requests that were kept, and typed here.
    taken : int
        Those of them that this version's signature takes.
    places : dict of worker to int
        How far each worker's file has been read.
    """

    tried: int = 0
    taken: int = 0
    places: dict[int, int] = field(default_factory=dict)

    def state(self) -> dict[str, Any]:
        """Return everything as JSON-able values."""
        places = {str(worker): place for worker, place in self.places.items()}
        return {"tried": self.tried, "taken": self.taken, "places": places}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Read what `state` wrote."""
        places = {int(worker): place for worker, place in state["places"].items()}
        return cls(state["tried"], state["taken"], places)
