"""What a step of the challenger is compared with: the same work, or the parts it stands for, or nothing.

The control's step of the same name, class and columns does the same work. Where there is none (another
class, or a container that could not be looked into) the sum of the champion's steps at that place is
the yardstick, and where the champion has none there either, that is said. Whatever the yardstick: no step
is slower than the whole is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from shadowserve.comparison.learned import Learned
from shadowserve.comparison.timing import RoleTiming, StepTiming, outermost
from shadowserve.judgement.facts import Facts

MIN_TIMED = 30
LEAST_PAIRS = 16
"""Pairs of both lanes before their median counts: one burst."""

Kind = Literal["same", "parts", "none"]


@dataclass(frozen=True, slots=True)
class Yardstick:
    """Steps of the champion's version, taken together.

    Parameters
    ----------
    kind : {"same", "parts", "none"}
        The same step, the sum of the steps at its place, or nothing to compare with.
    role : str
        Whose times: control or champion.
    """

    kind: Kind
    role: str
    steps: tuple[StepTiming, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.steps)

    @property
    def median_ms(self) -> float:
        """What the steps usually take together; 0 where there are none."""
        return sum(step.wall.quantile(0.5) for step in self.steps)

    def at(self, column: str, size: float) -> float:
        """Return what they take at a size of a column, in ms; 0 where there are none."""
        return sum(_at(step, column, size) for step in self.steps)

    def exponent(self, column: str) -> float | None:
        """Return the growth of the step, where it is one and its sizes tell it."""
        fit = self.steps[0].growth.get(column) if len(self.steps) == 1 else None
        growth = fit.fit() if fit is not None else None
        return growth.exponent if growth is not None and growth.grows else None

    def says(self) -> str:
        """Name it in a sentence."""
        if self.kind == "same":
            return f"the {self.role}'s"
        return f"the {self.role}'s steps at that place together"


def _at(step: StepTiming, column: str, size: float) -> float:
    fit = step.growth.get(column)
    growth = fit.fit() if fit is not None else None
    return step.wall.quantile(0.99) if growth is None else float(growth.predict(size))


def yardstick(known: Facts, learned: Learned, name: str) -> Yardstick:
    """Return what one of the challenger's steps is compared with."""
    timing = learned.lane.steps[name]
    control = known.control
    if control is not None and name in control.lane.steps:
        theirs = control.lane.steps[name]
        if theirs.spent.n >= MIN_TIMED and _is_same_work(learned, control, name):
            return Yardstick("same", "control", (theirs,))
    # The champion's own times come from its batches and cores, so they only stand in for a control.
    if control is None and name in learned.champion.steps:
        theirs = learned.champion.steps[name]
        if theirs.spent.n >= MIN_TIMED and theirs.columns == timing.columns:
            return Yardstick("same", "champion", (theirs,))
    for role, times in yardsticks(known):
        found = _at_place(times, name)
        if found and all(step.spent.n >= MIN_TIMED for step in found):
            return Yardstick("parts", role, found)
    # A step of other work would be a wrong yardstick, and worse than to say that there is none.
    return Yardstick("none", "control")


def _is_same_work(learned: Learned, control: Learned, name: str) -> bool:
    own, theirs = learned.made_of.get(name), control.made_of.get(name)
    # An earlier release did not record what a step is made of; then its columns have to do.
    if own is not None and theirs is not None and own != theirs:
        return False
    return learned.lane.steps[name].columns == control.lane.steps[name].columns


def _at_place(times: RoleTiming, name: str) -> tuple[StepTiming, ...]:
    """Return the steps within a step of that name, else those that lie where it lies."""
    outer = outermost(times.steps)
    # The challenger may see as one step what the champion has in parts, or the other way round.
    within = [step for step in outer if step.startswith(f"{name}/")]
    if not within:
        parent = name.rpartition("/")[0]
        within = [step for step in outer if not parent or f"{step}/".startswith(f"{parent}/")]
    return tuple(times.steps[step] for step in within)


def yardsticks(known: Facts) -> list[tuple[str, RoleTiming]]:
    """Return the times of the champion's version: the control's first, then the champion's own."""
    control = [("control", known.control.lane)] if known.control else []
    return control + ([("champion", known.learned.champion)] if known.learned else [])


def whole_more_ms(known: Facts, learned: Learned) -> float:
    """Return by how much the whole challenger usually takes longer on the same requests, in ms.

    The median of pairs where both lanes timed enough of them, else the difference of medians.
    """
    pairs = [
        (pair.challenger_ms or 0.0) - (pair.control_ms or 0.0)
        for burst in known.bursts
        for pair in burst
    ]
    if len(pairs) >= LEAST_PAIRS:
        return float(np.median(pairs))
    own = learned.lane.total.wall.quantile(0.5)
    shared = learned.champion_work.quantile(0.5)  # a bound, where it was not timed alone
    return own - next((t.total.wall.quantile(0.5) for _, t in _timed(known)), shared)


def whole_more_at(known: Facts, learned: Learned, column: str, size: float) -> float:
    """Return by how much the whole challenger takes longer at a size of a column, in ms."""
    whole = learned.lane.total
    fit = whole.growth.get(column)
    growth = fit.fit() if fit is not None else None
    most = float(whole.spent.summary()["max"] or 0.0)
    own = float(growth.predict(size)) if growth is not None and growth.grows else most
    # Where the whole shows no growth, its longest time is the most that the step can have cost.
    return own - next((_at(t.total, column, size) for _, t in _timed(known)), 0.0)


def is_timed(known: Facts) -> bool:
    """Whether the champion's version was timed often enough, as control or by its own worker, to compare with."""
    return bool(_timed(known))


def _timed(known: Facts) -> list[tuple[str, RoleTiming]]:
    return [one for one in yardsticks(known) if one[1].total.spent.n >= MIN_TIMED]


def ways_apart(known: Facts) -> str:
    """Say in which parameters the two differ that only change how a version runs; empty where in none."""
    own, theirs = (side.ways if side else {} for side in (known.learned, known.control))
    if known.learned is None or known.control is None or own == theirs:
        return ""
    names = [name for name in {**own, **theirs} if own.get(name) != theirs.get(name)]
    told = ", ".join(
        f"{name} ({own.get(name, 'not set')}, the champion's {theirs.get(name, 'not set')})"
        for name in sorted(names)[:3]
    )
    return f" The two differ in what only changes how they run, which is the likely cause: {told}."
