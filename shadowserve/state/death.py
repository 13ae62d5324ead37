"""The death note: how a lane's last process ended while it had requests in hand.

The supervisor leaves it before it starts the next process, which takes it up and tries them once more.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from shadowserve.state.files import write_whole


@dataclass(frozen=True, slots=True)
class Death:
    """How a lane process ended while requests were in its hands.

    Parameters
    ----------
    id : str
        Of this one death, so that it is never counted twice.
    positions : tuple of int
        What was in hand.
    cause : str
        ``deadline``, ``memory``, ``crash`` or ``outside``.
    step : int
        Index of the step that was running, -1 between steps.
    worked_ms : float
        How long the positions had been in hand, less starvation.
    """

    id: str
    positions: tuple[int, ...]
    cause: str
    step: int
    worked_ms: float

    def write(self, path: Path) -> None:
        """Leave the note for the next process."""
        write_whole(path, json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` left."""
        written = json.loads(path.read_text())
        return cls(**{**written, "positions": tuple(written["positions"])})
