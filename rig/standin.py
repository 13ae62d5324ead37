"""The stand-in on a socket of its own, while no worker is there."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from shadowserve.state.counters import Counters
from shadowserve.supervisor.standin import StandIn


class Standing(NamedTuple):
    """Where the stand-in answers, and what it counts."""

    url: str
    counted: Counters
    listener: socket.socket


@contextmanager
def standing_in(directory: Path, **options: Any) -> Iterator[Standing]:
    """A stand-in for as long as the block lasts."""
    counted = Counters(directory / "999.bin")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        given = {
            "needed": lambda: True,
            "why": lambda: "It is being tested.",
            "label": lambda: "films/3",
            "counters": counted,
        }
        stand_in = StandIn(listener, **{**given, **options})
        host, port = listener.getsockname()
        scheme = "https" if options.get("certificate") else "http"
        yield Standing(f"{scheme}://{host}:{port}", counted, listener)
        stand_in.stop()
    counted.close()
