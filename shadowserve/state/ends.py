"""How the processes of a deployment ended, counted where it lasts: no death passes in silence.

A lane that hangs on a request and answers it at the second try, or a worker that a call of the model
took along, leave no other trace. One file, written by the supervisor alone.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from shadowserve.state.deployment import LaneName
from shadowserve.state.files import write_whole
from shadowserve.state.places import Places

CAUSES = ("deadline", "memory", "crash", "outside", "hang")
"""Past a lane's deadline; beyond its memory; by itself; by a signal of somebody else's; a worker that hung."""


@dataclass(frozen=True, slots=True)
class Ends:
    """How one process ended, each time until now.

    Parameters
    ----------
    ended : mapping of cause to int
        How often; see `CAUSES`.
    last : mapping
        Of the last end: ``cause``, ``at`` (UTC), and as far as known ``exit_code``, ``positions`` of the
        requests in hand, and the ``step`` that ran.
    """

    ended: Mapping[str, int] = field(default_factory=dict)
    last: Mapping[str, Any] | None = None

    @property
    def total(self) -> int:
        """How often it ended; each time it was started again, unless it was given up."""
        return sum(self.ended.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the ledger's part."""
        known = {cause: self.ended.get(cause, 0) for cause in CAUSES}
        return {
            "restarts": self.total,
            "ended": known,
            "last_end": None if self.last is None else dict(self.last),
        }


def of_worker(index: int) -> str:
    """Return the key of a champion worker."""
    return f"champion-{index}"


def of_lane(name: LaneName) -> str:
    """Return the key of a lane."""
    return name.folder


def note(places: Places, who: str, cause: str, **detail: Any) -> None:
    """Count an end; a disk that takes nothing now loses it, and nothing else."""
    known = read(places)
    before = known.get(who, Ends())
    ended = {**before.ended, cause: before.ended.get(cause, 0) + 1}
    last = {"cause": cause, "at": datetime.now(UTC).isoformat(timespec="seconds"), **detail}
    # Read anew each time: only the supervisor writes, and a restart of it goes on counting.
    everything = {**known, who: Ends(ended, last)}
    text = json.dumps({name: asdict(each) for name, each in everything.items()})
    with contextlib.suppress(OSError):
        write_whole(places.ends, text)


def read(places: Places) -> dict[str, Ends]:
    """Return what was counted so far, by key; empty where nothing is, or what is there is damaged."""
    try:
        written = json.loads(places.ends.read_text())
        return {who: Ends(each["ended"], each["last"]) for who, each in written.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def workers(known: Mapping[str, Ends]) -> Ends:
    """Return all champion workers' ends together."""
    own = [each for who, each in known.items() if who.startswith("champion-")]
    ended = {cause: sum(one.ended.get(cause, 0) for one in own) for cause in CAUSES}
    lasts = [one.last for one in own if one.last is not None]
    return Ends(ended, max(lasts, key=lambda last: last["at"], default=None))
