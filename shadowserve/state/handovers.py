"""How the last handover went, or how far it has come: written by the supervisor, read by status and alerts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from shadowserve.legible import legible
from shadowserve.state.files import write_whole
from shadowserve.state.places import Places

REFUSED = "refused"
DONE = "done"


@dataclass(frozen=True, slots=True)
class Handing:
    """One handover.

    Parameters
    ----------
    state : str
        ``loading``, ``opening``, ``parting``, ``turning over``, ``done`` or ``refused``.
    former, coming : int or None, int
        Version numbers.
    deployment : str
        That takes over.
    at : str
        Since when that is its state: UTC, ISO 8601.
    reason : str or None
        Why it did not take place.
    """

    state: str
    former: int | None
    coming: int
    deployment: str
    at: str
    reason: str | None = None

    @property
    def says(self) -> str:
        """One line for people."""
        if self.state == REFUSED:
            return f"v{self.coming} did not take over ({self.at}): {legible(self.reason or '')}"
        if self.state == DONE:
            return f"v{self.coming} took over from v{self.former} ({self.at})"
        return f"v{self.coming} takes over from v{self.former}: {self.state}"

    def to_dict(self) -> dict[str, Any]:
        """Return what programs are told of it."""
        return {**asdict(self), "says": self.says}

    def write(self, places: Places) -> None:
        """Write it down."""
        write_whole(places.handover, json.dumps(asdict(self)))


def read(places: Places) -> Handing | None:
    """Return the last handover of a state directory; None where there was none, or nothing legible is left of it."""
    try:
        return Handing(**json.loads(places.handover.read_text()))
    except (OSError, ValueError, TypeError):
        return None
