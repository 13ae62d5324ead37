"""Which requests a lane scores, which of them alone, and with what probability they are timed.

A challenger scores every request, alone while it keeps up. The control scores bursts, since a process
that scores one request in ten runs cold and looks slower than it is. The requests with the largest
inputs are scored alone by both, whatever else: they are where a slow step shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from shadowserve.comparison.bursts import BURST_EVERY, BURST_LENGTH, BURST_WARMUP, burst_of
from shadowserve.records import Role
from shadowserve.schema.rows import Rows
from shadowserve.statistics.input_sizes import sizes
from shadowserve.statistics.tally import Quantiles
from shadowserve.statistics.tally.samples import hash_positions

BEHIND_NS = 2 * 10**9
ALONE_SHARE = 0.05
LARGE_RANK = 0.99
LARGE_FROM = 100
MOST_SIZED = 1_000


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
    """

    score: bool = True
    alone: bool = True
    timed: bool = True
    inclusion: float = 1.0


def sizes_of(rows: Rows | None) -> dict[str, int]:
    """Return each column's size, summed over the rows: characters, bytes or items; numbers have none."""
    if rows is None:
        return {}
    found = {}
    for name, values in rows.columns.items():
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
            sketch = self._sketches.setdefault(column, Quantiles())
            sketch.add(np.asarray([size], dtype=np.float64))
        self._n += 1
        if self._n % LARGE_FROM == 0:
            self._limits = {c: s.quantile(LARGE_RANK) for c, s in self._sketches.items()}
        return large


def turn(position: int, *, role: Role, large: bool, behind: bool, batched: bool) -> Turn:
    """Decide what a lane does with a request.

    Parameters
    ----------
    position : int
        The request.
    role : Role
        challenger or control.
    large : bool
        Whether its inputs are among the largest.
    behind : bool
        Whether the lane has fallen behind the traffic.
    batched : bool
        Whether the version may be scored in batches at all.
    """
    if role is Role.CONTROL:
        burst = burst_of(position)
        if burst is not None:
            warm = burst[1] >= BURST_WARMUP
            share = (BURST_LENGTH - BURST_WARMUP) / BURST_EVERY
            return Turn(timed=warm or large, inclusion=1.0 if large else share)
        return Turn(score=large)
    if not behind or not batched or large:
        return Turn()
    chosen = hash_positions(np.asarray([position]))[0] < ALONE_SHARE
    alone = bool(chosen) or burst_of(position) is not None
    in_bursts = BURST_LENGTH / BURST_EVERY
    return Turn(alone=alone, timed=alone, inclusion=in_bursts + (1 - in_bursts) * ALONE_SHARE)
