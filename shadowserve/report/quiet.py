"""How long lanes and evidence have said nothing: what stands still must not look alive.

A lane that has died, or that hangs, leaves its last word "running" behind. Its file tells better: while
requests wait, it commits several times a second.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from shadowserve.judgement.facts import Facts
from shadowserve.state.places import Places

STILL_S = 30.0
"""Without a commit while requests wait; the deadline and a restart take less."""
LATE_S = 180.0
"""Without a word of the evidence writer after a window has closed: it looks every few seconds."""


def read(places: Places, known: Facts) -> dict[str, Any]:
    """Return for each lane and for the evidence how long they have been quiet, and whether that is too long."""
    now = time.time()
    lanes = []
    for one in known.ledger.lanes:
        file = places.lane(one.name.role, one.name.version, one.name.stay).state
        quiet_s = _quiet_s(now, (file, file.with_name(f"{file.name}-wal")))
        at_work = one.state in ("starting", "running") and one.pending > 0
        # What has only just come is no sign: the lane may have had nothing to do until then.
        still = at_work and one.lag_seconds > STILL_S and (quiet_s is None or quiet_s > STILL_S)
        lanes.append(
            {
                "role": one.name.role.value,
                "version": one.name.version,
                "quiet_s": quiet_s,
                "still": still,
            }
        )
    return {"lanes": lanes, "evidence": _evidence(places, known, now)}


def _evidence(places: Places, known: Facts, now: float) -> dict[str, Any]:
    quiet_s = _quiet_s(now, (places.arrival,))
    parts = [
        places.lane(one.name.role, one.name.version, one.name.stay).parts
        for one in known.ledger.lanes
    ]
    # A part that the writer has not seen since it was written, however long ago that was.
    newest = max(
        (_written(part) for parts_of in parts for part in parts_of.glob("*.parquet")), default=0.0
    )
    waiting_s = now - newest if newest else 0.0
    unseen = bool(newest) and (quiet_s is None or quiet_s > waiting_s)
    return {"quiet_s": quiet_s, "still": unseen and waiting_s > LATE_S}


def _quiet_s(now: float, files: Iterable[Path]) -> float | None:
    """Return how long ago any of the files was written; None where there is none."""
    newest = max(map(_written, files), default=0.0)
    return round(max(now - newest, 0.0), 1) if newest else None


def _written(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0
