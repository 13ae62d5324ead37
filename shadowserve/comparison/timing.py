"""What a lane remembers of times: each step of each role, and how its cost grows with the input."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from shadowserve.comparison.by_name import ByName
from shadowserve.comparison.comparisons import Comparisons
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
        told = Comparisons.of(calls)
        sizes = _sizes(told)
        weights = 1 / (told.inclusion if lane else told.share)
        n_rows = told.n_rows.astype(np.float64)
        totals = np.nan_to_num(told.lane_ms if lane else told.champion_ms, nan=0.0)
        self.total.add(totals, weights, n_rows, sizes)
        steps = told.lane_steps if lane else told.champion_steps
        known, outer_ms = _outer(steps)
        rest = np.maximum(totals - outer_ms, 0.0)
        self.between.add(rest[known], weights[known], n_rows[known], {})
        for name in steps.names:
            # Authors may name a step by a value; such names have no end.
            if name not in self.steps and len(self.steps) >= MAX_STEPS:
                continue
            timing = self.steps.setdefault(name, StepTiming(inner.get(name, ())))
            has = steps.has(name)
            own = {column: size[has] for column, size in sizes.items()}
            timing.add(steps.column(name)[has], weights[has], n_rows[has], own)
            if lane:
                timing.cpu.add(_or_none(told.lane_cpu, name)[has])


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


def _outer(steps: ByName) -> tuple[np.ndarray, np.ndarray]:
    """Return which calls have steps, and what the outermost of each take together; (n_calls,) both.

    Parts that an author named lie within a step and must not be taken off twice.
    """
    # Which of them are outermost hangs on the others of the call; nearly always all calls have the same.
    if steps.sparse is None and steps.known.all():
        outer_ms = np.zeros(len(steps))
        for name in outermost(steps.names):
            outer_ms += steps.column(name)
        return np.full(len(steps), bool(steps.names)), outer_ms
    rows = [steps.row(at) for at in range(len(steps))]
    outer = [sum(own[name] for name in outermost(own)) for own in rows]
    return np.array([bool(own) for own in rows]), np.array(outer, dtype=np.float64)


def _or_none(numbers: ByName, name: str) -> np.ndarray:
    return numbers.column(name) if name in numbers.names else np.full(len(numbers), np.nan)


def _sizes(told: Comparisons) -> dict[str, np.ndarray]:
    """Return each column's sizes; NaN at a deadline, which says nothing of what the size costs."""
    ended = told.ended(Outcome.TIMED_OUT)
    return {
        column: np.where(ended, np.nan, told.sizes.column(column)) for column in told.sizes.names
    }
