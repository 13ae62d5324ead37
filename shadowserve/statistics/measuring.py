"""How much of a lane's time goes to measuring: what is timed is chosen before it is read, within a budget.

A request that is scored by itself has times of its own, and costs more than it would among others. That
excess, with all that is scored a second time, may take a fifth of the lane's time, idle time included. So
a lane with little to do times everything, one at its limit a few in a hundred, and nothing switches between.

The traffic is cut into blocks. Before the first request of a block is read, the shares of it that are timed
are fixed, from what earlier blocks cost. So no request's cost decides whether it is timed, and each timing
counts by the inverse of a probability that was known beforehand. Spending until a purse is empty does not
do: where one request in twenty is ten times as costly, that estimates 9.2 % of them, and timing what still
fits estimates none.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass, fields
from typing import ClassVar

from shadowserve.legible import share
from shadowserve.statistics.stored import Part, Stored, plain

SHARE = 0.2
"""Of a lane's time, for measuring."""

FIRST = 1_000
"""Requests of a lane that are all timed: the first findings rest on them."""

FIRST_NS = 30 * 10**9
"""The first requests are timed freely until that has cost so much."""

LOAD_NS, COSTS_NS = 10 * 10**9, 60 * 10**9
"""Over so much of a lane's time its load is remembered, and what a request costs."""

LEAST_BURSTS, LEAST_OTHERS = 0.01, 0.001
"""Shares are never 0: what cannot be chosen has no weight."""

IN_BURSTS = 0.1
"""Share of the requests that lie in a burst."""

LARGE_SHARE = 0.5
"""Of the budget, for large inputs at most."""

MOST_BLOCKS = 64
"""Blocks whose shares are remembered, so that a block that is read again is dealt with alike."""

FULL_ROWS = 16
"""A call of so many rows or more tells what a row costs among others."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which shares of a block are timed.

    Parameters
    ----------
    bursts : float
        Of the bursts, each as a whole.
    large : float
        Of the requests with large inputs.
    others : float
        Of the rest.
    in_bursts : float
        Of the requests that lie in a burst.
    """

    bursts: float = 1.0
    large: float = 1.0
    others: float = 1.0
    in_bursts: float = IN_BURSTS

    def inclusion(self, *, large: bool) -> float:
        """Return the probability that a request of the block is timed.

        It counts in bursts and between them alike: a burst may lie anywhere in its block, so where a
        request comes says nothing of it. Weights by place would be few large ones beside many small ones.

        Examples
        --------
        >>> Plan().inclusion(large=False), Plan(others=0.05).inclusion(large=True)
        (1.0, 1.0)
        >>> round(Plan(bursts=0.5, others=0.02).inclusion(large=False), 4)
        0.069
        """
        alone = max(self.large, self.others) if large else self.others
        return alone + self.in_bursts * self.bursts * (1 - alone)


@dataclass
class _Faded:
    def __post_init__(self) -> None:
        self._before = self._numbers()

    def fade(self, passed_ns: float, horizon_ns: float) -> None:
        """Let what was there count less, as time passes, and what came meanwhile as if it had come evenly.

        Time and what it went to must fade alike: a read may take longer than the horizon.
        """
        ages = passed_ns / horizon_ns
        left, evenly = math.exp(-ages), -math.expm1(-ages) / ages if ages > 0 else 1.0
        for one, before in zip(fields(self), self._before, strict=True):
            came = getattr(self, one.name) - before
            setattr(self, one.name, before * left + came * evenly)
        self._before = self._numbers()

    def _numbers(self) -> tuple[float, ...]:
        return tuple(getattr(self, one.name) for one in fields(self))


@dataclass
class _Load(_Faded):
    """What came and what was done lately; requests, and nanoseconds."""

    wall_ns: float = 0.0
    requests: float = 0.0
    large: float = 0.0
    large_alone: float = 0.0
    bursts: float = 0.0
    others: float = 0.0
    again_ns: float = 0.0


@dataclass
class _Costs(_Faded):
    """What it took, remembered for longer: few are timed, and a mean of few is a guess."""

    bursts: float = 0.0
    bursts_ns: float = 0.0
    bursts_rows: float = 0.0
    others: float = 0.0
    others_ns: float = 0.0
    others_rows: float = 0.0
    rows: float = 0.0
    rows_ns: float = 0.0


class Measuring(Stored):
    """The budget of one lane.

    Attributes
    ----------
    requests, timed : int
        Requests read, and those timed alone, so far.
    excess_ns, wall_ns : int
        What measuring took, and the lane's time, so far.

    Examples
    --------
    >>> budget = Measuring()
    >>> for n in range(10):
    ...     plan = budget.plan((0, n))
    ...     budget.read(200)
    ...     budget.alone(30_000_000, n=200, rows=200)
    ...     budget.pass_time(30_000_000)
    >>> budget.plan((0, 10)).others < 0.2
    True
    """

    parts: ClassVar = {
        "requests": plain,
        "timed": plain,
        "excess_ns": plain,
        "wall_ns": plain,
        "load": Part(lambda load: list(astuple(load)), lambda row: _Load(*row)).at("_load"),
        "costs": Part(lambda costs: list(astuple(costs)), lambda row: _Costs(*row)).at("_costs"),
        "plans": Part(
            lambda plans: [[*block, *astuple(plan)] for block, plan in plans.items()],
            lambda rows: {(int(w), int(n)): Plan(*shares) for w, n, *shares in rows},
        ).at("_plans"),
    }

    def __init__(self) -> None:
        self.requests = 0
        self.timed = 0
        self.excess_ns = 0
        self.wall_ns = 0
        self._load = _Load()
        self._costs = _Costs()
        self._plans: dict[tuple[int, int], Plan] = {}

    def plan(self, block: tuple[int, int]) -> Plan:
        """Return what of a block is timed; fixed when it is first asked for.

        Parameters
        ----------
        block : (worker, number)
        """
        known = self._plans.get(block)
        if known is None:
            known = self._plans[block] = self._made()
            while len(self._plans) > MOST_BLOCKS:
                del self._plans[next(iter(self._plans))]
        return known

    def _made(self) -> Plan:
        load = self._load
        if self.is_first or load.requests < 1:
            return Plan()
        # A fifth of all time is a quarter of what is left without measuring, which tells at once what a
        # request needs besides: the time so far may have been another share.
        besides_ns = max(0.0, load.wall_ns - self._spent_ns)
        left = (SHARE / (1 - SHARE) * besides_ns - load.again_ns) / load.requests
        wanted = load.large / load.requests * self.other_ns
        large = _share(LARGE_SHARE * left, wanted, least=LEAST_OTHERS)
        left -= large * wanted
        bursts = _share(left, IN_BURSTS * self.burst_ns, least=LEAST_BURSTS)
        left -= bursts * IN_BURSTS * self.burst_ns
        others = _share(left, (1 - IN_BURSTS * bursts) * self.other_ns, least=LEAST_OTHERS)
        return Plan(bursts, large, others)

    @property
    def is_first(self) -> bool:
        """Whether everything is timed still, whatever it costs."""
        return self.requests < FIRST and self.excess_ns < FIRST_NS

    @property
    def other_ns(self) -> float:
        """What scoring a request alone costs beyond scoring it among others; nanoseconds."""
        costs = self._costs
        if not costs.others:
            return _mean(costs.bursts_ns - costs.bursts_rows * self.row_ns, costs.bursts)
        return _mean(costs.others_ns - costs.others_rows * self.row_ns, costs.others)

    @property
    def burst_ns(self) -> float:
        """The same of a request in a burst."""
        costs = self._costs
        if not costs.bursts:
            return self.other_ns
        return _mean(costs.bursts_ns - costs.bursts_rows * self.row_ns, costs.bursts)

    @property
    def row_ns(self) -> float:
        """What a row costs among others; 0 before a call of many was seen."""
        return _mean(self._costs.rows_ns, self._costs.rows)

    @property
    def _spent_ns(self) -> float:
        load = self._load
        alone = (load.others + load.large_alone) * self.other_ns + load.bursts * self.burst_ns
        return alone + load.again_ns

    @property
    def has_room_again(self) -> bool:
        """Whether anything may be scored a second time now: half of the budget is for that."""
        return self.is_first or self._load.again_ns <= SHARE / 2 * self._load.wall_ns

    @property
    def share_lately(self) -> float:
        """Share of the lane's time that went to measuring lately; 0 before there was any."""
        return min(1.0, _mean(self._spent_ns, self._load.wall_ns))

    def to_dict(self) -> dict[str, float | int | None]:
        """Return how much is timed and what that takes, so far and lately; None before anything was read."""
        return {
            "requests": self.requests,
            "timed_alone": self.timed,
            "timed_share": self.timed / self.requests if self.requests else None,
            "time_share": min(1.0, _mean(self.excess_ns, self.wall_ns)) if self.wall_ns else None,
            "time_share_lately": self.share_lately if self.wall_ns else None,
            "budget_share": SHARE,
        }

    def __str__(self) -> str:
        """Say how much is timed and what that takes, as a clause."""
        if not self.requests:
            return "nothing was timed yet"
        timed = f"timed alone: {share(min(1.0, self.timed / self.requests))} of requests"
        takes = min(1.0, _mean(self.excess_ns, self.wall_ns))
        why = "" if self.timed >= self.requests else f", which may be {share(SHARE)}"
        return f"{timed}; measuring takes {share(takes)} of the lane's time{why}"

    def read(self, n: int) -> None:
        """Take in requests that were read."""
        self.requests += n
        self._load.requests += n

    def large(self) -> None:
        """Take in that a request which was read has large inputs."""
        self._load.large += 1

    def pass_time(self, ns: int) -> None:
        """Let a lane's time pass, idle or not."""
        self.wall_ns += ns
        self._load.wall_ns += ns
        self._load.fade(ns, LOAD_NS)
        self._costs.fade(ns, COSTS_NS)

    def together(self, ns: int, *, rows: int) -> None:
        """Take in a call of several requests."""
        if rows >= FULL_ROWS:
            self._costs.rows += rows
            self._costs.rows_ns += ns

    def alone(
        self, ns: int, *, rows: int, n: int = 1, burst: bool = False, large: bool = False
    ) -> None:
        """Take in requests that were scored by themselves.

        Parameters
        ----------
        ns : int
            All that it took, waiting for another lane's turn included.
        rows : int
            Their rows; what those cost among others is no excess. 0 where the version takes no others.
        n : int
            Requests.
        burst, large : bool
            In a burst that is timed; with large inputs. Such a one costs as much among others, but for
            what every call does.
        """
        self.timed += n
        load, costs = self._load, self._costs
        if large:
            self.excess_ns += int(n * self.other_ns)
            load.large_alone += n
            return
        self.excess_ns += int(ns - rows * self.row_ns)
        if burst:
            load.bursts += n
            costs.bursts += n
            costs.bursts_ns += ns
            costs.bursts_rows += rows
        else:
            load.others += n
            costs.others += n
            costs.others_ns += ns
            costs.others_rows += rows

    def again(self, ns: int) -> None:
        """Take in what was scored a second time."""
        self.excess_ns += ns
        self._load.again_ns += ns


def _mean(total: float, n: float) -> float:
    return max(0.0, total / n) if n > 0 else 0.0


def _share(left: float, wanted: float, *, least: float) -> float:
    """Return the share of what is wanted that there is room for."""
    return 1.0 if left >= wanted or wanted <= 0 else max(least, left / wanted)
