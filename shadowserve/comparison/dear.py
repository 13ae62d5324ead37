"""Which values a lane is slow on where the champion is not: a step may be dear for one city alone.

Neither a median nor the size of an input shows it. A request counts as dear if it takes far more than the
lane usually does, and more than twice of what the champion took for that very request: a value that
is slow for both is none. The slices of the traffic in which such requests lie are searched for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from shadowserve.comparison.comparing import Scoring
from shadowserve.comparison.comparisons import Comparisons
from shadowserve.comparison.outputs import columns_of, searching
from shadowserve.comparison.timing import outermost
from shadowserve.records import Comparison
from shadowserve.schema.disclosure import Disclosure
from shadowserve.statistics.slices import SliceSearch
from shadowserve.statistics.stored import Stored, listed, maybe, of, plain, table

USUAL_FROM = 50
MATERIAL_MS = 5.0
TWICE = 2.0
MOST_STEPS = 128


class Dear(Stored):
    """Requests that are dear for the challenger alone, by the steps that took most, and where they lie.

    Attributes
    ----------
    limit_ms : float or None
        From which a request may be dear: twice the lane's usual time, 5 ms at least. Settled by its first
        fifty; the champion's times may hold waiting for a core.
    steps : dict of step to int
        In which step a dear request took most of its time.
    """

    parts: ClassVar = {
        "limit_ms": plain,
        "steps": table,
        "slices": maybe(of(SliceSearch)),
        "usual_ms": listed.at("_usual_ms"),
    }

    def __init__(self) -> None:
        self.limit_ms: float | None = None
        self.steps: dict[str, int] = {}
        self.slices: SliceSearch | None = None
        self._usual_ms: list[float] = []

    def add(
        self,
        scorings: Sequence[Scoring],
        comparisons: Sequence[Comparison],
        *,
        disclosure: Disclosure,
    ) -> None:
        """Take in requests of one row that were scored alone, each with what came of it."""
        told = Comparisons.of(comparisons)
        apart = np.array([one.alone and not one.warmup for one in scorings], dtype=np.bool_)
        timed = ~np.isnan(told.lane_ms) & ~np.isnan(told.champion_work_ms)
        both = np.flatnonzero(apart & timed & (told.n_rows == 1))
        if self.limit_ms is None:
            self._settle(told.lane_ms[both].tolist())
            return
        own, theirs = told.lane_ms[both], told.champion_work_ms[both]
        # Dear for both is a dear request; only what the challenger makes of it counts.
        dear = (own > self.limit_ms) & (own > TWICE * theirs)
        for at in both[dear].tolist():
            self._count(told.lane_steps.row(at))
        if self.slices is None and not dear.any():
            return  # most deployments never meet one: nothing is searched, kept or written for them
        columns = columns_of([scorings[at] for at in both.tolist()])
        if columns is None:
            return
        self.slices = searching(self.slices, columns, disclosure)
        if self.slices.fits(columns):
            self.slices.add(columns, dear.astype(np.float64))

    def _settle(self, lane_ms: Sequence[float]) -> None:
        self._usual_ms += lane_ms
        if len(self._usual_ms) >= USUAL_FROM:
            self.limit_ms = max(MATERIAL_MS, TWICE * float(np.median(self._usual_ms)))
            self._usual_ms = []

    def _count(self, lane_steps: Mapping[str, float]) -> None:
        """Count the step in which a dear request took most."""
        step = max(outermost(lane_steps), key=lambda name: lane_steps[name], default=None)
        # Names of steps may have no end; see `timing`.
        if step is not None and (step in self.steps or len(self.steps) < MOST_STEPS):
            self.steps[step] = self.steps.get(step, 0) + 1
