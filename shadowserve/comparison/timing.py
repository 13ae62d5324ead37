"""What a lane remembers of times: each step of each role, and how its cost grows with the input."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from shadowserve.records import Comparison, Outcome
from shadowserve.statistics.callcost import CallCostFit
from shadowserve.statistics.growth import GrowthFit
from shadowserve.statistics.stored import Stored, named, of, tupled
from shadowserve.statistics.tally import Moments, Quantiles

MAX_STEPS = 128
BETWEEN = "between steps"
"""What a call takes besides its steps: inputs laid out, outputs stacked, other code of the model."""


class StepTiming(Stored):
    """One step of one role, over the requests that were scored alone.

    Parameters
    ----------
    columns : sequence of str
        The columns that it reads; the cost is followed against the size of each.
    """

    parts: ClassVar = {
        "columns": tupled,
        "wall": of(Quantiles),
        "spent": of(Moments),
        "cpu": of(Moments),
        "calls": of(CallCostFit),
        "growth": named(of(GrowthFit)),
    }
    given = ("columns",)

    def __init__(self, columns: Sequence[str] = ()) -> None:
        self.columns = tuple(columns)
        self.wall = Quantiles(tail=True)
        self.spent = Moments()
        self.cpu = Moments()
        self.calls = CallCostFit()
        self.growth: dict[str, GrowthFit] = {}

    def add(
        self,
        wall_ms: np.ndarray,
        weights: np.ndarray,
        n_rows: np.ndarray,
        sizes: Mapping[str, np.ndarray],
    ) -> None:
        """Take in calls.

        Parameters
        ----------
        wall_ms, weights, n_rows : ndarray of shape (n_calls,)
            Wall time, inverse inclusion probability, and rows of each call.
        sizes : mapping of column to ndarray of shape (n_calls,)
            Characters, bytes or items; NaN where a call has none.
        """
        self.wall.add(wall_ms, weights)
        self.spent.add(wall_ms, weights)
        self.calls.add(n_rows, wall_ms)
        for column, size in sizes.items():
            known = ~np.isnan(size)
            # A step that names its columns follows their sizes alone: others grow along by chance.
            if known.any() and (not self.columns or column in self.columns):
                fit = self.growth.setdefault(column, GrowthFit())
                fit.add(size[known].astype(np.int64), wall_ms[known])


class RoleTiming(Stored):
    """All steps of one role, what lies between them, and the whole.

    Parameters
    ----------
    columns : mapping of step to columns
        The plan's steps; steps that the model's author named join as they are met.
    """

    parts: ClassVar = {
        "total": of(StepTiming),
        "between": of(StepTiming).young,
        "steps": named(of(StepTiming)),
    }

    def __init__(self, columns: Mapping[str, Sequence[str]] = MappingProxyType({})) -> None:
        self.total = StepTiming()
        self.between = StepTiming()
        self.steps = {name: StepTiming(used) for name, used in columns.items()}

    def add(
        self, calls: Sequence[Comparison], *, lane: bool, inner: Mapping[str, Sequence[str]]
    ) -> None:
        """Take in requests that were scored alone, past the warm-up.

        Parameters
        ----------
        calls : sequence of Comparison
            With the times of this role.
        lane : bool
            Whether the role is the lane's; else the champion's recorded times are taken.
        inner : mapping of step to columns
            What the model's author said of the steps that he named.
        """
        sizes = _sizes(calls)
        weights = np.asarray([1 / (c.inclusion if lane else c.share) for c in calls])
        n_rows = np.asarray([c.n_rows for c in calls], dtype=np.float64)
        totals = np.asarray([(c.lane_ms if lane else c.champion_ms) or 0.0 for c in calls])
        self.total.add(totals, weights, n_rows, sizes)
        steps = [c.lane_steps if lane else c.champion_steps for c in calls]
        known = np.asarray([bool(one) for one in steps])
        # Parts that an author named lie within a step and must not be taken off twice.
        rest = totals - [sum(one[name] for name in outermost(one)) for one in steps]
        self.between.add(np.maximum(rest, 0.0)[known], weights[known], n_rows[known], {})
        for name in dict.fromkeys(name for one in steps for name in one):
            # Authors may name a step by a value; such names have no end.
            if name not in self.steps and len(self.steps) >= MAX_STEPS:
                continue
            timing = self.steps.setdefault(name, StepTiming(inner.get(name, ())))
            has = np.asarray([name in one for one in steps])
            wall = np.asarray([one[name] for one in steps if name in one])
            own = {column: size[has] for column, size in sizes.items()}
            timing.add(wall, weights[has], n_rows[has], own)
            if lane:
                timing.cpu.add(np.asarray([c.lane_cpu.get(name, np.nan) for c in calls])[has])


def outermost(names: Collection[str]) -> list[str]:
    """Return the steps that lie in no other: parts that the author named lie within a step.

    Examples
    --------
    >>> outermost(["columns/words", "model", "model/look_up"])
    ['columns/words', 'model']
    """
    return list(_outermost(tuple(names)))


@lru_cache(maxsize=256)  # all calls of a version have the same few steps
def _outermost(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if not any(name.startswith(f"{of}/") for of in names))


def step_around(name: str, names: Collection[str]) -> str | None:
    """Return the step that a part lies within, the closest; None for a step of its own.

    Examples
    --------
    >>> step_around("model/look_up", ["model", "model/look_up"]), step_around("columns/words", ["columns/words"])
    ('model', None)
    """
    around = [of for of in names if name.startswith(f"{of}/")]
    return max(around, key=len, default=None)


def _sizes(calls: Sequence[Comparison]) -> dict[str, np.ndarray]:
    """Return each column's sizes; NaN at a deadline, which says nothing of what the size costs."""
    known = [call.sizes if call.outcome is not Outcome.TIMED_OUT else {} for call in calls]
    columns = dict.fromkeys(column for sizes in known for column in sizes)
    return {
        column: np.asarray([sizes.get(column, np.nan) for sizes in known], dtype=np.float64)
        for column in columns
    }
