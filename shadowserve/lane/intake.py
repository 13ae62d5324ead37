"""Which requests a lane scores, which of them alone, and with what probability they are timed.

A challenger scores every request: alone those that are timed, the others together. The control scores
bursts, since a process that scores one request in ten runs cold and looks slower than it is. What is timed
is bounded by a budget (`measuring`): first the requests with the largest inputs, where a slow step shows,
then bursts, then others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from shadowserve.comparison.bursts import BURST_LENGTH, BURST_WARMUP, burst_of, is_chosen
from shadowserve.records import Role
from shadowserve.schema.rows import Rows
from shadowserve.statistics.input_sizes import sizes
from shadowserve.statistics.measuring import Plan
from shadowserve.statistics.tally import Quantiles
from shadowserve.statistics.tally.samples import hash_position

LARGE_RANK = 0.99
LARGE_FROM = 100
MOST_SIZED = 1_000
_POSITION_SALT, _UNIT_SALT = 4, 5
"""Others than those by which it is chosen what is timed."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What a lane does with one request.

    Parameters
    ----------
    score : bool
        False: it is sampled out.
    alone : bool
        Whether it is scored by itself.
    timed : bool
        Whether its times count.
    inclusion : float
        Probability with which a request like this one is timed.
    burst : bool
        Whether it lies in a burst that challenger and control score in turn.
    """

    score: bool = True
    alone: bool = True
    timed: bool = True
    inclusion: float = 1.0
    burst: bool = False


def sizes_of(rows: Rows | None) -> dict[str, int]:
    """Return each column's size, summed over the rows: characters, bytes or items; numbers have none."""
    if rows is None:
        return {}
    found = {}
    for name, values in rows.columns.items():
        if values.ndim == 1 and values.dtype.kind not in "USO":
            continue
        # One text is what most requests hold, and an array of one costs microseconds.
        if len(values) == 1 and type(text := values[0]) is str:
            found[str(name)] = len(text)
            continue
        size = sizes(values)
        if size is not None:
            found[str(name)] = int(size.sum())
    return found


class InputSizes:
    """Sizes by column, of `MOST_SIZED` columns at most: without a signature callers name some at will.

    Parameters
    ----------
    known : iterable of str
        The columns that were sized before.
    """

    def __init__(self, known: Iterable[str]) -> None:
        self._known = set(known)

    def of(self, rows: Rows | None) -> dict[str, int]:
        """Return the sizes of a request's inputs, as `sizes_of` does."""
        found = sizes_of(rows)
        if found.keys() <= self._known:
            return found
        for name in found:
            if len(self._known) < MOST_SIZED:
                self._known.add(name)
        return {name: size for name, size in found.items() if name in self._known}


class LargeInputs:
    """Tells the requests with the largest inputs, for any column, as sizes come in.

    The first hundred are measured by the largest of them so far: a lane that is behind when it begins
    would otherwise score those in a batch in which a slow step shows most.
    """

    def __init__(self) -> None:
        self._sketches: dict[str, Quantiles] = {}
        self._waiting: dict[str, list[int]] = {}
        self._limits: dict[str, float] = {}
        self._n = 0

    def is_large(self, sizes: Mapping[str, int]) -> bool:
        """Tell whether a request is in the top per cent for one of its columns, and take it in."""
        begins = self._n < LARGE_FROM
        unknown = 0.0 if begins else np.inf
        large = any(size > self._limits.get(column, unknown) for column, size in sizes.items())
        for column, size in sizes.items():
            if begins:
                self._limits[column] = max(self._limits.get(column, 0.0), size)
            self._waiting.setdefault(column, []).append(size)
        self._n += 1
        if self._n % LARGE_FROM == 0:
            self._limit()
        return large

    def are_large(self, requests: Sequence[Mapping[str, int]]) -> list[bool]:
        """Tell of many requests what `is_large` tells of each in turn."""
        found: list[bool] = []
        while len(found) < len(requests):
            # Between two hundreds the limits stay, so that a column can be looked at as a whole.
            left = LARGE_FROM - self._n % LARGE_FROM
            part = requests[len(found) : len(found) + left]
            names = part[0].keys()
            if self._n < LARGE_FROM or any(own.keys() != names for own in part):
                found += [self.is_large(own) for own in part]
            else:
                found += self._are_large(
                    {name: [own[name] for own in part] for name in names}, part
                )
        return found

    def _are_large(
        self, columns: Mapping[str, list[int]], part: Sequence[Mapping[str, int]]
    ) -> list[bool]:
        large = [False] * len(part)
        for column, seen in columns.items():
            limit = self._limits.get(column, np.inf)
            if max(seen) > limit:
                large = [known or size > limit for known, size in zip(large, seen, strict=True)]
            self._waiting.setdefault(column, []).extend(seen)
        self._n += len(part)
        if self._n % LARGE_FROM == 0:
            self._limit()
        return large

    def _limit(self) -> None:
        """Move the limits to what has been seen; a sketch takes a hundred sizes as quickly as one."""
        for column, seen in self._waiting.items():
            sketch = self._sketches.setdefault(column, Quantiles())
            sketch.add(np.asarray(seen, dtype=np.float64))
        self._waiting = {}
        self._limits = {c: s.quantile(LARGE_RANK) for c, s in self._sketches.items()}


def turn(position: int, *, role: Role, large: bool, plan: Plan, batched: bool) -> Turn:
    """Decide what a lane does with a request.

    Whoever is asked first chooses by the same hash: what a lane with little room times, one with more room
    times too, so that challenger and control time the same requests.

    Parameters
    ----------
    position : int
        The request.
    role : Role
        challenger or control.
    large : bool
        Whether its inputs are among the largest.
    plan : Plan
        What is timed of the block that it lies in.
    batched : bool
        Whether the version may be scored in batches at all.
    """
    burst = burst_of(position)
    in_burst = burst is not None and is_chosen(position, plan.bursts)
    share = max(plan.large, plan.others) if large else plan.others
    if role is Role.CHALLENGER:
        # Without batches each is scored alone anyway, so each is timed.
        if not batched:
            return Turn(burst=in_burst)
        alone = in_burst or share >= 1 or hash_position(position) < share
        return Turn(alone=alone, timed=alone, burst=in_burst, inclusion=plan.inclusion(large=large))
    certain = large and (plan.large >= 1 or hash_position(position) < plan.large)
    if in_burst and burst is not None:
        warm = burst[1] >= BURST_WARMUP
        return Turn(timed=warm or certain, burst=True, inclusion=_of_control(plan, large=large))
    if certain:
        return Turn(inclusion=_of_control(plan, large=True))
    return Turn(score=burst is not None and batched, alone=False, timed=False)


def untimed(position: int, *, role: Role, batched: bool) -> Turn:
    """Decide what a lane does with a request of which nobody asks how long it takes."""
    scored = role is Role.CHALLENGER or burst_of(position) is not None
    return Turn(score=scored, alone=not batched, timed=False)


def is_kept(share: float, *, position: int, unit: int | None) -> bool:
    """Whether a request is among a share of them: all of an entity's are, or none.

    Parameters
    ----------
    unit : int or None
        Salted number of the entity; None where a request names none, and stands for itself.
    """
    if share >= 1:
        return True
    if unit is None:
        return hash_position(position, salt=_POSITION_SALT) < share
    return hash_position(unit, salt=_UNIT_SALT) < share


def _of_control(plan: Plan, *, large: bool) -> float:
    """Return the probability that the control times a request: it runs warm within a burst first."""
    warm = plan.in_bursts * (1 - BURST_WARMUP / BURST_LENGTH) * plan.bursts
    return plan.large + (1 - plan.large) * warm if large else warm
