"""Bursts: stretches of requests that challenger and control score one after the other, to be timed in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import orjson

from shadowserve.records import sequence_of

BURST_EVERY = 200
BURST_LENGTH = 20
BURST_WARMUP = 4
"""So many of a burst are scored to run warm; their times are in no pair."""


def burst_of(position: int) -> tuple[int, int] | None:
    """Return the burst and the place in it, None between bursts.

    Examples
    --------
    >>> burst_of(1), burst_of(20), burst_of(21), burst_of(201)
    ((0, 0), (0, 19), None, (1, 0))
    """
    number, place = divmod(sequence_of(position) - 1, BURST_EVERY)
    return (number, place) if place < BURST_LENGTH else None


@dataclass(frozen=True, slots=True)
class BurstRecord:
    """What challenger and control each keep of a burst's request.

    Parameters
    ----------
    ms : float or None
        Featurization and inference; None where it was not timed to be paired.
    steps : sequence of float
        Milliseconds of each step, empty where it was not timed so.
    scores : sequence of float or None
        Mean probability of each class.
    unit : int or None
        Whom the request is for.
    at : int
        When it arrived, in nanoseconds since 1970.
    server_ms : float
        What a caller waits besides, for the server's own work.
    """

    ms: float | None
    steps: Sequence[float]
    scores: Sequence[float] | None
    unit: int | None = None
    at: int = 0
    server_ms: float = 0.0

    def encode(self) -> bytes:
        """Return it as JSON, for the lane's file."""
        return orjson.dumps(self)

    @classmethod
    def decode(cls, text: bytes) -> Self:
        """Read what `encode` wrote, or an earlier release, which knew less."""
        return cls(**orjson.loads(text))


@dataclass(frozen=True, slots=True)
class ControlTime:
    """The control's side of one request that both scored in turn.

    Parameters
    ----------
    control_ms : float
        NaN where it failed.
    warm : bool
        Whether it had been scoring right before.
    life : int
        Tells the two processes from those before and after.
    """

    control_ms: float
    warm: bool
    life: int
