"""How the evidence writer fares, for status, and how long it waits before it tries again."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shadowserve.evidence.undelivered import UndeliveredError
from shadowserve.state.files import write_whole

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0


@dataclass(slots=True)
class Condition:
    """The writer's state, as the file tells it.

    ``shipping``: what was closed has arrived or is arriving. ``waiting``: MLflow is away for now.
    ``failed``: MLflow says no, and somebody must do something. In each, windows wait in the lanes'
    files and are tried again.

    Parameters
    ----------
    path : Path
        ``evidence.json``.
    """

    path: Path
    failures: int = 0
    since: str | None = None
    _written: str = ""
    _random: random.Random = field(default_factory=random.SystemRandom)

    def good(
        self, lanes: Mapping[str, Mapping[str, Any]], *, late: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        """All that waited has arrived; `late`: of today's deployment, not yet of those archived."""
        self.failures, self.since = 0, None
        self._write({"state": "shipping", "kind": None, "reason": None}, lanes, late)

    def bad(
        self,
        error: UndeliveredError,
        lanes: Mapping[str, Mapping[str, Any]],
        *,
        late: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Something did not arrive."""
        self.failures += 1
        self.since = self.since or datetime.now(UTC).isoformat(timespec="seconds")
        state = "failed" if error.hopeless else "waiting"
        told = {"state": state, "kind": error.kind, "reason": str(error)}
        self._write({**told, "status": error.status, "said": error.said}, lanes, late)

    def pause_s(self) -> float:
        """Seconds to wait after the last failure: doubled each time, up to a minute, with jitter."""
        longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self.failures - 1, 10))
        # Jitter: many deployments that lost one server would else all come back in the same second.
        return longest * self._random.uniform(0.5, 1.0)

    def _write(
        self,
        told: dict[str, Any],
        lanes: Mapping[str, Mapping[str, Any]],
        late: Sequence[Mapping[str, Any]],
    ) -> None:
        known = {**told, "since": self.since, "lanes": dict(lanes), "late": list(late)}
        text = json.dumps(known, indent=1)
        if text != self._written:
            write_whole(self.path, text)
            self._written = text
