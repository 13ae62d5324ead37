"""How long traffic has lasted, by monotonic clocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from shadowserve.records import Request, worker_of
from shadowserve.statistics.stored import Stored, numbered, tupled

RESTARTED_NS = 3_600 * 10**9
"""A monotonic clock that stands so much lower than before is that of a machine started again."""


class Elapsed(Stored):
    """Time that requests span, for each worker and by its monotonic clock.

    The wall clock may be set while all this runs; then a rate by it would be wrong for ever.
    """

    parts: ClassVar = {
        "workers": numbered(tupled).at("_workers"),
    }

    def __init__(self) -> None:
        self._workers: dict[int, tuple[int, int]] = {}

    @property
    def seconds(self) -> float:
        """What the worker that has been there longest spans; 0 before two requests."""
        return max((elapsed for elapsed, _ in self._workers.values()), default=0) / 1e9

    def add(self, requests: Sequence[Request]) -> None:
        """Take in requests, each worker's in about the order in which they arrived."""
        workers = worker_of(np.array([one.position for one in requests], dtype=np.int64))
        arrived_ns = np.array([one.arrived_ns for one in requests], dtype=np.int64)
        for worker in dict.fromkeys(workers.tolist()):
            self._add(worker, arrived_ns[workers == worker])

    def _add(self, worker: int, arrived_ns: np.ndarray) -> None:
        elapsed, latest = self._workers.get(worker, (0, int(arrived_ns[0])))
        reached = np.maximum(np.maximum.accumulate(arrived_ns), latest)
        if (reached - arrived_ns <= RESTARTED_NS).all():
            self._workers[worker] = (elapsed + int(reached[-1]) - latest, int(reached[-1]))
            return
        for now in arrived_ns.tolist():
            elapsed, latest = self._workers.get(worker, (0, now))
            # Threads of one worker journal slightly out of order; an earlier arrival adds no time.
            if now > latest:
                self._workers[worker] = (elapsed + now - latest, now)
            # A machine's restart sets its monotonic clock back to zero; the span goes on from
            # there.
            elif latest - now > RESTARTED_NS or worker not in self._workers:
                self._workers[worker] = (elapsed, now)
