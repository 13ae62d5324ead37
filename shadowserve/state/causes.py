"""Why a challenger answers differently, as it was last looked into: one small file in its lane's directory."""

from __future__ import annotations

import json
from typing import Any

from shadowserve.state.files import write_whole
from shadowserve.state.places import LanePlaces

SCHEMA = "shadowserve/cause/1"


def write(lane: LanePlaces, told: dict[str, Any]) -> None:
    """Keep what was found, in the place of what was found before."""
    write_whole(lane.cause, json.dumps({"schema": SCHEMA, **told}, allow_nan=False))


def read(lane: LanePlaces) -> dict[str, Any] | None:
    """Return what was last found; None where nothing was, or another release wrote it."""
    try:
        told = json.loads(lane.cause.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) and told.get("schema") == SCHEMA else None
