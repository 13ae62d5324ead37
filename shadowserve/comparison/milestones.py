"""Which request it was, and when: positions as people count them.

A position holds worker and sequence number in one integer, which nobody can read. A lane notes now and
then how many requests it had met when it passed a position, and when that request had arrived.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from shadowserve.records import sequence_of, worker_of
from shadowserve.statistics.stored import Stored, each, keyed, plain, tupled

EVERY = 16
MOST = 256
"""Milestones of one worker; beyond it every second one goes."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A request as people count it.

    Parameters
    ----------
    number : int
        How many requests there had been, this one among them.
    arrived_wall_ns : int
        Since the epoch; the same precision as `is_exact` says.
    is_exact : bool
        False where several workers answered: then it is near it.
    """

    number: int
    arrived_wall_ns: int
    is_exact: bool


class Milestones(Stored):
    """Notes of one lane, bounded whatever the traffic."""

    parts: ClassVar = {
        "met": plain.at("_met").young,
        "apart": keyed(plain).at("_apart").young,
        "notes": keyed(each(tupled)).at("_notes").young,
        "latest": plain.at("_latest").young,
    }

    def __init__(self) -> None:
        self._met = 0
        self._apart: dict[int, int] = {}
        self._notes: dict[int, list[tuple[int, int, int]]] = {}
        self._latest = 0

    @property
    def latest_wall_ns(self) -> int | None:
        """When the latest request arrived, since the epoch; a little earlier where an earlier release wrote it."""
        noted = max((own[-1][2] for own in self._notes.values() if own), default=0)
        return max(self._latest, noted) or None

    def add(self, positions: ArrayLike, arrived_wall_ns: ArrayLike) -> None:
        """Take in requests in the order in which the lane met them."""
        places, when = (np.asarray(each, dtype=np.int64) for each in (positions, arrived_wall_ns))
        workers = worker_of(places)
        for worker in dict.fromkeys(workers.tolist()):
            own = np.flatnonzero(workers == worker)
            self._add(worker, sequence_of(places[own]), self._met + 1 + own, when[own])
        self._met += len(places)
        self._latest = max(self._latest, int(when.max(initial=0)))

    def _add(
        self, worker: int, sequences: np.ndarray, numbers: np.ndarray, when: np.ndarray
    ) -> None:
        """Note some of a worker's requests; each with its number among all."""
        notes = self._notes.setdefault(worker, [])
        at = 0
        while at < len(sequences):
            if notes:
                far = sequences[at:] >= notes[-1][0] + self._apart.get(worker, EVERY)
                if not far.any():
                    return
                at += int(far.argmax())
            notes.append((int(sequences[at]), int(numbers[at]), int(when[at])))
            if len(notes) > MOST:
                del notes[1::2]
                self._apart[worker] = 2 * self._apart.get(worker, EVERY)
            at += 1

    def locate(self, position: int) -> Moment | None:
        """Return which request a position is, None before the first note."""
        worker, sequence = worker_of(position), sequence_of(position)
        notes = self._notes.get(worker)
        if not notes:
            return None
        at = max(0, bisect_right(notes, (sequence, 2**62, 0)) - 1)
        here, then = notes[at], notes[min(at + 1, len(notes) - 1)]
        span = then[0] - here[0]
        part = min(1.0, max(0.0, (sequence - here[0]) / span)) if span else 0.0
        alone = len(self._notes) == 1
        number = sequence if alone else round(here[1] + part * (then[1] - here[1]))
        return Moment(number, round(here[2] + part * (then[2] - here[2])), alone)
