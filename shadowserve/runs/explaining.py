"""A process that loads one version and is asked about it: its parts, what they give, what comes out if others are given.

python -m shadowserve.runs.explaining challenger v4 <socket>

It is told requests first and answers which of them it can take. Values go between it and the process that asks, and
nowhere else. It ends as the socket does.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from shadowserve import ambience
from shadowserve.errors import ShadowserveError
from shadowserve.faults import fault_of
from shadowserve.host.leash import tie_to_parent
from shadowserve.host.priority import step_back, told
from shadowserve.host.private_log import silence_others
from shadowserve.lane.observing import Observer
from shadowserve.records import Request, Role
from shadowserve.runs.replaying import opened
from shadowserve.schema.rows import Rows, concat
from shadowserve.scorer.apart import Apart
from shadowserve.scorer.isolated import neutral
from shadowserve.scorer.scorer import Scorer
from shadowserve.state.deployment import Deployment, LaneName
from shadowserve.wire.protocols import protocols

READ_BYTES = 1 << 20


def main(arguments: Sequence[str]) -> int:
    """Answer until nobody asks any more, and return the exit code."""
    role, version, descriptor = arguments
    # Whoever runs beside it, champion or lane, goes first.
    step_back(told(os.environ))
    ambience.claim()
    silence_others()
    with (
        socket.socket(fileno=int(descriptor)) as line,
        tempfile.TemporaryDirectory(prefix="shadowserve-explain-") as own,
    ):
        answering = _Answering(LaneName(Role(role), int(version.removeprefix("v"))), Path(own))
        frames = neutral.Frames()
        while read := line.recv(READ_BYTES):
            for head, parts in frames.feed(read):
                line.sendall(_answer(answering, head["ask"], neutral.read(head["of"], parts)))
    return 0


def _answer(answering: _Answering, ask: str, of: dict[str, Any]) -> bytes:
    parts: list[bytes] = []
    try:
        told = neutral.written(getattr(answering, ask)(**of), parts)
    except BaseException as error:  # a model may raise anything; an exit is one of them
        fault = fault_of(error)
        known = isinstance(error, ShadowserveError)
        return neutral.frame({"failed": str(error) if known else f"{fault.type} at {fault.frame}"})
    return neutral.frame({"of": told}, parts)


class _Answering:
    """What can be asked, by name."""

    def __init__(self, name: LaneName, folder: Path) -> None:
        self._name = name
        self._folder = folder
        self._scorer: Scorer | None = None
        self._typed: list[Rows | None] = []
        self._apart: Apart | None = None

    def load(self, deployment: str, requests: list[tuple[str, str, bytes]]) -> list[int]:
        """Load the version, and return for each request how many rows it can take; 0 where it cannot."""
        known = Deployment.from_json(deployment)
        self._scorer = opened(self._name, known, self._folder)
        table = dict(protocols(known.model, known.champion.number))
        observer = Observer(self._scorer, table, mark=[0])
        typed = [observer.typed(_request(*one)).rows for one in requests]
        # Parameters are completed in a version's own call, which is not walked.
        self._typed = [rows if rows is not None and not rows.params else None for rows in typed]
        return [rows.n_rows if rows is not None else 0 for rows in self._typed]

    def take(self, places: list[int]) -> bool:
        """Ask about some of the requests from here on."""
        taken = [rows for at in places if (rows := self._typed[at]) is not None]
        if self._scorer is None:
            raise LookupError("Nothing is loaded.")
        self._apart = Apart(self._scorer, concat(taken))
        return self._apart.has_scores

    def outline(self) -> dict[str, Any]:
        """Return its parts."""
        return asdict(self._loaded.outline())

    def value(self, place: str, given: dict[str, Any]) -> Any:
        """Return what lies at a place."""
        return self._loaded.value(place, given)

    def answers(self, given: dict[str, Any], scores: bool) -> Any:
        """Return its answers."""
        return self._loaded.answers(given, scores=scores)

    @property
    def _loaded(self) -> Apart:
        if self._apart is None:
            raise LookupError("It was not told what it is asked about.")
        return self._apart


def _request(protocol: str, content_type: str, body: bytes) -> Request:
    return Request(
        position=0, request_id="", arrived_wall_ns=0, arrived_ns=0, protocol=protocol, content_type=content_type,
        body=bytes(body), status=200, answer=b"", n_rows=0, times=b"",
    )  # fmt: skip


if __name__ == "__main__":
    tie_to_parent()
    os.environ.setdefault("SHADOWSERVE_ROLE", "check")
    sys.exit(main(sys.argv[1:]))
