"""Whether a supervisor holds a state directory; asked by commands that must answer at once."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from typing import Any

from shadowserve.state.files import write_whole
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


def tell(places: Places, *, data: tuple[str | None, int | None], console: tuple[str, int]) -> None:
    """Write down who runs here and where: hosts and ports, of the data plane None where there is none."""
    facts = {
        "pid": os.getpid(),
        "host": data[0],
        "port": data[1],
        "console_host": console[0],
        "console_port": console[1],
    }
    write_whole(places.supervisor, json.dumps(facts))
