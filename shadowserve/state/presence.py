"""Whether a supervisor holds a state directory; asked by commands that must answer at once."""

from __future__ import annotations

import contextlib
import fcntl
import json
from typing import Any

from shadowserve.state.places import Places


def running(places: Places) -> dict[str, Any] | None:
    """Return what the running supervisor wrote of itself; None if none holds the directory."""
    try:
        with places.lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        with contextlib.suppress(FileNotFoundError):
            found: dict[str, Any] = json.loads(places.supervisor.read_text())
            return found
        return {}
    except FileNotFoundError:
        return None
    return None
