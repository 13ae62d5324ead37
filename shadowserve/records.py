"""The records that travel: a journaled request, and what one role observed of it.

They are frozen where they are made. Those that every request has are named tuples, which take a third of
a frozen class's time to make. A `Request` is the champion worker's own account, written
before the answer leaves; an `Observation` is what a lane saw when it scored the same request.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

import numpy as np

WORKER_BITS = 40
"""Bits of a position that hold the sequence number.

A trillion requests of one worker; 23 bits are left for workers in SQLite's signed integers.
"""

Place = TypeVar("Place", int, np.ndarray)

REPLAY_HEADER = b"x-shadowserve-replay"
"""Marks a request that was recorded once and is sent again; its value names the replay."""

PHASES = ("queue", "parse", "schema", "featurization", "inference", "encode")
"""What a request passes through, in the order in which times are packed and read again."""


def position(worker: int, sequence: int) -> int:
    """Return the identity of a request: worker and sequence number in one integer.

    Parameters
    ----------
    worker : int
        Worker index, from 0.
    sequence : int
        The worker's running number, from 1, without gaps.

    Examples
    --------
    >>> position(0, 1200)
    1200
    """
    return (worker << WORKER_BITS) | sequence


def worker_of(place: Place) -> Place:
    """Return the worker index of a position; of an array of int64, of each."""
    return place >> WORKER_BITS


def sequence_of(place: Place) -> Place:
    """Return the worker's running number of a position; of an array of int64, of each."""
    return place & ((1 << WORKER_BITS) - 1)


class Role(StrEnum):
    """What a loaded version is for."""

    CHAMPION = "champion"
    """Its answer goes to the caller."""

    CHALLENGER = "challenger"
    """Its answer goes nowhere, and is compared with the champion's.

    There may be several; each has a lane, a run and a verdict of its own.
    """

    CONTROL = "control"
    """The champion's version in a lane: how far a version differs from itself, and how fast it is there."""


class Outcome(StrEnum):
    """What became of one request in one lane; every request has exactly one."""

    BOTH_OK = "both_ok"
    """Both answered: the only one that is compared."""

    CHALLENGER_ERROR = "challenger_error"
    """The lane's version raised, or cannot take such requests at all."""

    CHAMPION_ERROR = "champion_error"
    """The champion raised and the lane answered."""

    BOTH_ERROR = "both_error"
    """Both raised, whether or not for the same reason.

    Counts for neither side: a request that no version can take says nothing of the challenger.
    """

    TIMED_OUT = "timed_out"
    """Scoring was ended beyond the deadline twice, the second time with this request alone."""

    CRASHED = "crashed"
    """The process that scored it died twice, the second time with this request alone."""

    SAMPLED_OUT = "sampled_out"
    """Only a share is sampled, of all traffic or by a lane that is behind: this one is not in it."""

    REPLAYED = "replayed"
    """It was sent again by `shadowserve replay`: scored like any other, and nothing is learnt of it."""

    SKIPPED_PAUSED = "skipped_paused"
    """The team had paused the lane."""

    SKIPPED_BUDGET = "skipped_budget"
    """The journal was full before the lane came to it."""

    SKIPPED_LOST = "skipped_lost"
    """It was answered, and its record is gone.

    A hole in the sequence numbers, or a segment that is damaged, shows how many they are.
    """


class Times(NamedTuple):
    """How long one role took, split into phases and steps.

    Parameters
    ----------
    phases_ns : tuple of int
        Wall time of each of `PHASES`, in their order.
    wall_ns, cpu_ns : tuple of int
        Wall and CPU time of each step of the plan, in the plan's order.
    batch_requests, batch_rows : int
        How many requests and rows were scored together; 1 request means that it was alone.
    """

    phases_ns: tuple[int, ...]
    wall_ns: tuple[int, ...] = ()
    cpu_ns: tuple[int, ...] = ()
    batch_requests: int = 1
    batch_rows: int = 1

    @property
    def total_ns(self) -> int:
        """All phases together."""
        return sum(self.phases_ns)

    @property
    def work_ns(self) -> int:
        """Featurization and inference: the model's own work."""
        return sum(self.phases_ns[3:5])

    def pack(self) -> bytes:
        """Return a compact form for the journal: little-endian int64."""
        return packed(
            self.phases_ns, self.wall_ns, self.cpu_ns, self.batch_requests, self.batch_rows
        )

    @classmethod
    def unpack(cls, packed: bytes) -> Times:
        """Read what `pack` wrote."""
        numbers = np.frombuffer(packed, dtype="<i8").tolist()
        steps = numbers[2 + len(PHASES) :]
        half = len(steps) // 2
        return cls(
            batch_requests=numbers[0],
            batch_rows=numbers[1],
            phases_ns=tuple(numbers[2 : 2 + len(PHASES)]),
            wall_ns=tuple(steps[:half]),
            cpu_ns=tuple(steps[half:]),
        )


def packed(
    phases_ns: tuple[int, ...],
    wall_ns: tuple[int, ...],
    cpu_ns: tuple[int, ...],
    batch_requests: int,
    batch_rows: int,
) -> bytes:
    """Return what `Times` of these would pack."""
    numbers = (batch_requests, batch_rows, *phases_ns, *wall_ns, *cpu_ns)
    return struct.pack(f"<{len(numbers)}q", *numbers)


class Request(NamedTuple):
    """One journaled request with the champion's answer.

    Parameters
    ----------
    position : int
        The request's identity; see `position`.
    request_id : str
        The caller's, else a new one; it may repeat.
    arrived_wall_ns, arrived_ns : int
        Arrival by the wall clock (since the epoch) and by the monotonic clock.
    protocol : str
        Which door it came through: ``invocations``, ``predict`` or ``infer``.
    content_type : str
        As the caller sent it.
    body : bytes or None
        The request's own bytes; None where the request was sampled out.
    status : int
        200 or 500.
    answer : bytes
        The answer's own bytes; for a 500 the error's type, step and frame as JSON.
    n_rows : int
        Rows in the request.
    times : bytes
        `Times.pack` of the champion.
    unit : int or None
        Salted number of the entity that a header named; see `units`.
    replay : str or None
        Which replay sent it; None for a caller's own.
    """

    position: int
    request_id: str
    arrived_wall_ns: int
    arrived_ns: int
    protocol: str
    content_type: str
    body: bytes | None
    status: int
    answer: bytes
    n_rows: int
    times: bytes
    unit: int | None = None
    replay: str | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """An exception without its text, which may hold values: type, step, frame, and a hash.

    Failures count as one where type, step, frame and column are the same: the text may name each time
    another value.

    Parameters
    ----------
    type, step : str, str or None
        Qualified name of the exception's class, and the plan's step that raised, if it is known.
    frame : str
        ``file:line function`` of the innermost frame, file name only: a path may name a customer.
    digest : str
        First 12 hex digits of the text's SHA-256. They tell whether two faults say the same, and
        nobody what.
    column : str or None
        The column that the typing rule named, if it was the typing rule.
    """

    type: str
    step: str | None
    frame: str
    digest: str
    column: str | None = None


class Observation(NamedTuple):
    """What one role did for one request: its answer or fault, and its times.

    Parameters
    ----------
    answer : bytes or None
        The answer as it would have left, None where there is a fault.
    scores : ndarray of shape (n_rows, n_classes), optional
        Probabilities beside labels.
    times : Times or None
        Starvation is taken out of the steps' wall times; None where nothing was timed.
    inner : tuple of (name, columns, wall_ns, cpu_ns)
        Parts that the model's author named.
    starved_ns : int
        How long the thread was runnable but not running.
    nonfinite : int
        NaN, infinite or null values in the raw prediction.
    """

    answer: bytes | None = None
    scores: np.ndarray | None = None
    fault: Fault | None = None
    times: Times | None = None
    inner: tuple[tuple[str, tuple[str, ...], int, int], ...] = ()
    starved_ns: int = 0
    nonfinite: int = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Champion's and lane's observation of one request, side by side.

    Parameters
    ----------
    position, request_id, arrived_wall_ns, n_rows
        As journaled.
    window : int
        The window it fell into.
    outcome : Outcome
        What became of it.
    disagreement : float or None
        Mean over the request's rows, 0 same, 1 disjoint; None unless both answered.
    exact, tolerant, structure : bool
        Whether all rows are equal to the bit, equal within tolerance, and whether any row differs
        in type, shape or length.
    values : mapping of measure to float
        Mean over the rows that have it.
    champion, lane : JSON value
        Both predictions, one item a row.
    champion_ms, lane_ms : float or None
        Featurization and inference together; None where the request was not scored by itself.
    champion_work_ms : float or None
        The same for whatever the champion answered; of a batch, the batch's.
    response_ms : float
        The champion's, from arrival until the answer is encoded.
    champion_steps, lane_steps : mapping of step to milliseconds
        Wall time; the lane's without starvation.
    lane_cpu : mapping of step to milliseconds
        CPU time of the lane's scoring thread.
    lag_ms : float
        From arrival to the lane's beginning.
    alone, warmup : bool
        Whether it was scored by itself, and among the first after a start.
    inclusion : float
        Probability with which a request like this one is timed.
    share : float
        Probability with which a request like this one is scored at all: below 1 where a lane that is
        behind thins its traffic.
    sizes : mapping of column to int
        Characters, bytes or items, summed over the rows.
    lane_scores : mapping of class to probability
        The lane's for a request of one row, the class as JSON text; empty where there are none.
    first, lately : bool
        Whether it is the first request of its entity that the lane saw, ever and among the last
        thousand or so; True where requests have no entity. Only such count in statistics.
    """

    position: int
    request_id: str
    arrived_wall_ns: int
    n_rows: int
    window: int
    outcome: Outcome
    disagreement: float | None = None
    exact: bool = False
    tolerant: bool = False
    structure: bool = False
    values: Mapping[str, float] = field(default_factory=dict)
    champion: Any = None
    lane: Any = None
    champion_ms: float | None = None
    champion_work_ms: float | None = None
    lane_ms: float | None = None
    response_ms: float = 0.0
    champion_steps: Mapping[str, float] = field(default_factory=dict)
    lane_steps: Mapping[str, float] = field(default_factory=dict)
    lane_cpu: Mapping[str, float] = field(default_factory=dict)
    lag_ms: float = 0.0
    starved_ms: float = 0.0
    alone: bool = True
    warmup: bool = False
    inclusion: float = 1.0
    share: float = 1.0
    sizes: Mapping[str, int] = field(default_factory=dict)
    nonfinite: int = 0
    lane_scores: Mapping[str, float] = field(default_factory=dict)
    first: bool = True
    lately: bool = True
    fault: Fault | None = None
