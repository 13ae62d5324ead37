"""Memory of a lane: notes of what its process holds, for the slope after the plateau."""

from __future__ import annotations

from shadowserve.host.clock import own_bytes

EVERY = 50
STEP = 16 * 2**20
MOST_NOTES = 400
KEPT_WHOLE = 101
"""The first notes show warm-up and plateau; beyond them a long run keeps every second."""


def note(notes: list[tuple[int, int]], n: int, *, pid: int | None = None) -> None:
    """Note the memory of its own after `n` requests: every `EVERY`, sooner when it grew by `STEP` bytes.

    Parameters
    ----------
    notes : list of (requests, bytes)
        Extended in place, and thinned beyond `MOST_NOTES`. Nothing is noted where the system does
        not tell.
    pid : int, optional
        The process that scores; by default this one.
    """
    used = own_bytes(pid)
    if used is None:
        return
    last, before = notes[-1] if notes else (-EVERY, 0)
    if n > last and (n >= last + EVERY or used - before >= STEP):
        notes.append((n, used))
        if len(notes) > MOST_NOTES:
            del notes[KEPT_WHOLE::2]
