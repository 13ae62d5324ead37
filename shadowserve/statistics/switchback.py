"""The switchback experiment: lanes stand still now and then, to show in production what they cost callers.

In each cycle of ten blocks of 30 s, one block drawn by the deployment's salt is *still*: lanes do
nothing in it. They catch up in the next, which is not measured, and run as *usual* in the third. The
champion's response times of a cycle's still and usual block are compared. Nothing is skipped: every
request is scored all the same, some half a minute later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from shadowserve.statistics.stored import Stored, listed, named, numbered, table

BLOCK_NS = 30 * 10**9
"""Length of a block in ns. Longer blocks hold more requests, and let lanes fall further behind."""

CYCLE_BLOCKS = 10
"""Blocks of a cycle. One in ten is still, so a lane stands still for a tenth of the time."""

KEPT_CYCLES = 500
"""Cycles that are remembered, the latest: 42 hours of blocks.

An interval over more would hardly be narrower, and would tell of a day that is over.
"""

KEPT_TIMES = 4_000
"""Response times that a block keeps, its first ones: 32 kB of memory, and 40 of them beyond p99."""

FEWEST_CYCLES = 3
"""Pairs of blocks from which a cost is told. From two, Student's interval has one degree of freedom."""

FEWEST_TIMES = 50
"""Response times from which a block counts; of fewer, p99 is little else than the largest."""


class Block(StrEnum):
    """What lanes do in a block."""

    STILL = "still"
    """Nothing: callers have the machine to themselves."""

    CATCH_UP = "catch_up"
    """Work off what has gathered. Not measured: they work harder here than they do on a usual day."""

    USUAL = "usual"
    """Score what comes. Measured, as the still block's other half of the same five minutes."""

    OTHER = "other"
    """Score what comes, in a block that is not measured.

    Seven of ten: an experiment that always ran would make lanes late for the sake of one number.
    """


@dataclass(frozen=True, slots=True)
class Schedule:
    """Which block is which; the same for every process of a deployment.

    Parameters
    ----------
    start_ns : int
        Since the epoch; the first cycle after it has no still block.
    salt : str
        The deployment's own.
    """

    start_ns: int
    salt: str

    @classmethod
    def of(cls, started: str, salt: str) -> Self:
        """Return the schedule of a deployment that started at an ISO 8601 time."""
        return cls(int(datetime.fromisoformat(started).timestamp() * 1e9), salt)

    def block(self, wall_ns: int) -> tuple[int, Block]:
        """Return the cycle and the kind of block that a time (since the epoch) falls into.

        Examples
        --------
        >>> schedule = Schedule(0, "salt")
        >>> kinds = [schedule.block(BLOCK_NS * block)[1] for block in range(10, 20)]
        >>> kinds.count(Block.STILL), kinds.count(Block.USUAL), kinds.count(Block.OTHER)
        (1, 1, 7)
        """
        cycle, place = divmod((wall_ns - self.start_ns) // BLOCK_NS, CYCLE_BLOCKS)
        if cycle < 1:
            return cycle, Block.OTHER
        # A hash of the salt lets every process draw the same block without asking another.
        drawn = hashlib.blake2b(f"{self.salt}:{cycle}".encode(), digest_size=8).digest()
        # Catching up and running as usual must follow within the cycle, so the last two are never still.
        still = int.from_bytes(drawn, "big") % (CYCLE_BLOCKS - 2)
        kinds = {0: Block.STILL, 1: Block.CATCH_UP, 2: Block.USUAL}
        return cycle, kinds.get(place - still, Block.OTHER)

    def stretches(self, wall_ns: np.ndarray) -> Iterator[tuple[int, Block, slice]]:
        """Yield stretches of times that lie in one block: its cycle and kind, as `block` tells, and where.

        Parameters
        ----------
        wall_ns : ndarray of shape (n,), int64
            Since the epoch, in any order.
        """
        blocks = (wall_ns - self.start_ns) // BLOCK_NS
        ends = [*(np.flatnonzero(np.diff(blocks)) + 1).tolist(), len(blocks)]
        for first, end in zip([0, *ends], ends, strict=False):
            if end > first:
                yield *self.block(int(wall_ns[first])), slice(first, end)


@dataclass(frozen=True, slots=True)
class Cost:
    """What lanes cost callers: usual over still response times, less 1, with a 95 % interval."""

    rank: str
    value: float
    low: float
    high: float
    cycles: int

    def __str__(self) -> str:
        return (
            f"lanes cost callers between {100 * self.low:+.1f} % and {100 * self.high:+.1f} % "
            f"at {self.rank} ({self.cycles} pairs of blocks)"
        )


class CallerCost(Stored):
    """The champion's response times in still and usual blocks, cycle by cycle."""

    parts: ClassVar = {
        "open": named(listed).at("_open"),
        "cycles": numbered(table).at("_cycles"),
    }

    def __init__(self) -> None:
        self._open: dict[str, list[float]] = {}
        self._cycles: dict[int, dict[str, list[float]]] = {}

    def add(self, cycle: int, block: Block, response_ms: ArrayLike) -> None:
        """Take in requests of one block, or one; blocks that are not measured are left out."""
        if block not in (Block.STILL, Block.USUAL):
            return
        key = f"{cycle}:{block.value}"
        times = self._open.setdefault(key, [])
        times += np.atleast_1d(response_ms)[: KEPT_TIMES - len(times)].tolist()
        # Once a later cycle has begun, the earlier one's blocks are over.
        for old in [name for name in self._open if int(name.partition(":")[0]) < cycle]:
            self._settle(old)

    def _settle(self, key: str) -> None:
        cycle, _, block = key.partition(":")
        times = self._open.pop(key)
        if len(times) >= FEWEST_TIMES:
            ranks = np.quantile(times, [0.5, 0.99]).tolist()
            self._cycles.setdefault(int(cycle), {})[block] = ranks
        while len(self._cycles) > KEPT_CYCLES:
            del self._cycles[min(self._cycles)]

    def costs(self) -> list[Cost]:
        """Return the cost at the median and at p99; empty before three whole cycles."""
        pairs = [c for c in self._cycles.values() if {"still", "usual"} <= c.keys()]
        if len(pairs) < FEWEST_CYCLES:
            return []
        # Blocks of one cycle are compared with each other only: traffic changes over the day.
        logs = np.log([np.divide(pair["usual"], pair["still"]) for pair in pairs])
        error = logs.std(axis=0, ddof=1) / np.sqrt(len(pairs))
        from scipy.special import stdtrit  # scipy.stats takes a second, and status asks us

        reach = float(stdtrit(len(pairs) - 1, 0.975)) * error
        middle = logs.mean(axis=0)
        bounds = np.expm1([middle, middle - reach, middle + reach]).T.tolist()
        return [
            Cost(rank, value, low, high, len(pairs))
            for rank, (value, low, high) in zip(("p50", "p99"), bounds, strict=True)
        ]
