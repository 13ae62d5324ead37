"""A loaded and warm champion with all that the data plane needs to ask it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shadowserve.schema.schema import Schema
from shadowserve.serving.champion import Champion
from shadowserve.serving.large_bodies import LargeBodies
from shadowserve.state.refused import Refusals
from shadowserve.state.sampling import Sampling
from shadowserve.statistics.units import Headers, Named, nobody


@dataclass(frozen=True, slots=True)
class Ready:
    """What the data plane needs once the champion is loaded and warm.

    Parameters
    ----------
    entity_of : callable
        Headers to the entity that one of them names, and its unit.
    large : LargeBodies, optional
        Parses large bodies apart; without it they are parsed in a thread.
    former : tuple of int
        Versions that were the champion before, and that this one took over from.
    """

    model: str
    version: int
    champion: Champion
    schema: Schema
    sampling: Sampling
    strict_json: bool = False
    refusals: Refusals | None = None
    entity_of: Callable[[Headers], Named] = nobody
    large: LargeBodies | None = None
    former: tuple[int, ...] = ()
