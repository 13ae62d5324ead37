"""Memory that a version keeps of every request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings.finding import Effect, Finding, Severity
from shadowserve.judgement.findings.kind import FindingKind, Needs, finds
from shadowserve.legible import number
from shadowserve.settings.policy import Policy

MEMORY_GROWTH = FindingKind(
    "memory_growth", fires="The challenger keeps memory of every request and does not give it back."
)

MIN_LEAK_BYTES = 20_000
"""Bytes a request: at ten requests a second that fills a gigabyte in an hour and a half."""
MIN_LEAK_TOTAL = 32 * 2**20
"""Bytes in all: an innocent process grows by half of that in its first 200 batches."""
MIN_DROP = 96 * 2**20
"""Bytes: a smaller drop is the allocator giving pages back, a larger one a process that began anew."""
MIN_MEMORY_NOTES = 5
"""Notes that make a slope: ten pairs, so that two odd ones leave the median as it is."""
MIN_SHORT_NOTES = 4
"""Notes of a life that makes a slope together with others: a lane that is behind notes its memory once a block."""


@finds(MEMORY_GROWTH, needs=Needs.LEARNED)
def look(known: Facts, _policy: Policy) -> Iterator[Finding]:
    """Yield a process that grows with every request, far more than the control's."""
    slope = growth_per_request(known.seen.memory)
    if slope is None or slope < MIN_LEAK_BYTES:
        return
    theirs = growth_per_request(known.control.memory) if known.control else None
    # The control runs the same server code, so what it keeps is ours or the allocator's.
    if theirs is not None and slope < 3 * theirs:
        return
    yield Finding(
        kind=MEMORY_GROWTH.told,
        severity=Severity.CRITICAL,
        message=(
            f"{known.name} keeps about {number(slope / 1e3)} kB of every request and does not give it back. "
            "In production it would be killed for want of memory."
        ),
        effect=Effect("growth", slope, None, None, "bytes/request", theirs or 0.0, "control"),
    )


def growth_per_request(notes: Sequence[Sequence[int]]) -> float | None:
    """Return bytes of resident memory that each request leaves behind, after the plateau.

    Parameters
    ----------
    notes : sequence of (requests, bytes)
        A process that restarts begins anew, which shows as a large drop. The latest process that
        lived long enough to tell counts, so that one stopped for its growth is not forgotten. Where
        none did, those that each grew by more than an innocent one may tell together.

    Returns
    -------
    float or None
        Median slope (Theil and Sen) over the later half; None where that is too short to tell or
        the whole growth is small.
    """
    drops = [i for i in range(1, len(notes)) if notes[i - 1][1] - notes[i][1] > MIN_DROP]
    lives = [notes[i:j] for i, j in zip([0, *drops], [*drops, len(notes)], strict=True)]
    # The first third of a life is warm-up: caches, lazy imports and arenas fill up then.
    told = [life[len(life) // 3 :] for life in reversed(lives)]
    long = next((life for life in told if len(life) >= MIN_MEMORY_NOTES), None)
    grown = [life for life in ([long] if long else told) if _has_grown(life)]
    slopes = np.concatenate([_slopes(life) for life in grown]) if grown else np.empty(0)
    if len(slopes) < MIN_MEMORY_NOTES * (MIN_MEMORY_NOTES - 1) // 2:
        return None
    return float(np.median(slopes))


def _has_grown(life: Sequence[Sequence[int]]) -> bool:
    return len(life) >= MIN_SHORT_NOTES and life[-1][1] - life[0][1] >= MIN_LEAK_TOTAL


def _slopes(life: Sequence[Sequence[int]]) -> np.ndarray:
    """Return bytes a request of each pair of notes."""
    n, used = np.asarray(life, dtype=np.float64).T
    i, j = np.triu_indices(len(life), k=1)
    slopes: np.ndarray = (used[j] - used[i]) / np.maximum(n[j] - n[i], 1)
    return slopes
