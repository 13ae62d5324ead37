"""How many recorded requests a rescoring has been fed, once that is all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from shadowserve.errors import StateError
from shadowserve.state.files import write_whole
from shadowserve.state.places import Places


def read(places: Places) -> Mapping[str, Any] | None:
    """Return what whoever feeds has said at its end; None before.

    Raises
    ------
    StateError
        If the file is damaged.
    """
    try:
        told: Mapping[str, Any] = json.loads(places.fed.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise StateError(
            f"{places.fed} is damaged. Delete {places.root}, and begin anew."
        ) from error
    return told


def total(places: Places) -> int | None:
    """Return how many requests there are; None until the last has been fed."""
    told = read(places)
    return None if told is None else int(told["requests"])


def tell(places: Places, **told: Any) -> None:
    """Say that all is fed, for good."""
    write_whole(places.fed, json.dumps(told))
