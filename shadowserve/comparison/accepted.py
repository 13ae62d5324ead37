"""What is known of requests that the champion refused: how many a version's own signature would take."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from shadowserve.statistics.stored import Stored, numbered, plain


@dataclass(slots=True)
class Accepted(Stored):
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

    parts: ClassVar = {
        "tried": plain,
        "taken": plain,
        "places": numbered(plain),
    }

    tried: int = 0
    taken: int = 0
    places: dict[int, int] = field(default_factory=dict)
