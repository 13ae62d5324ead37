"""Which values a lane is slow on where the champion is not: a step may be dear for one city alone.

Neither a median nor the size of an input shows it. A request counts as dear if it takes far more than the
lane usually does, and more than twice of what the champion took for that very request: a value that
is slow for both is none. The slices of the traffic in which such requests lie are searched for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from shadowserve.comparison.comparing import Scoring
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
        both = [
            (scoring, told)
            for scoring, told in zip(scorings, comparisons, strict=True)
            if scoring.alone
            and not scoring.warmup
            and told.lane_ms is not None
            and told.champion_work_ms is not None
            and told.n_rows == 1
        ]
        if self.limit_ms is None:
            self._settle([told.lane_ms or 0.0 for _, told in both])
            return
        dear = [float(self._is_dear(told)) for _, told in both]
        if self.slices is None and not any(dear):
            return  # most deployments never meet one: nothing is searched, kept or written for them
        columns = columns_of([scoring for scoring, _ in both])
        if columns is None:
            return
        self.slices = searching(self.slices, columns, disclosure)
        if self.slices.fits(columns):
            self.slices.add(columns, dear)

    def _settle(self, lane_ms: Sequence[float]) -> None:
        self._usual_ms += lane_ms
        if len(self._usual_ms) >= USUAL_FROM:
            self.limit_ms = max(MATERIAL_MS, TWICE * float(np.median(self._usual_ms)))
            self._usual_ms = []

    def _is_dear(self, told: Comparison) -> bool:
        own, theirs = told.lane_ms or 0.0, told.champion_work_ms or 0.0
        # Dear for both is a dear request; only what the challenger makes of it counts.
        if own <= (self.limit_ms or 0.0) or own <= TWICE * theirs:
            return False
        steps = outermost(told.lane_steps)
        step = max(steps, key=lambda name: told.lane_steps[name], default=None)
        # Names of steps may have no end; see `timing`.
        if step is not None and (step in self.steps or len(self.steps) < MOST_STEPS):
            self.steps[step] = self.steps.get(step, 0) + 1
        return True
