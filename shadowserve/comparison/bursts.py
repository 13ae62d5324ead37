"""Bursts: stretches of requests that challenger and control score one after the other, to be timed in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
import orjson

from shadowserve.records import position as joined
from shadowserve.records import sequence_of, worker_of
from shadowserve.statistics.tally.samples import hash_position

BURST_EVERY = 200
BURST_LENGTH = 20
BURST_WARMUP = 4
"""So many of a burst are scored to run warm; their times are in no pair."""


_SLOTS = BURST_EVERY // BURST_LENGTH
_SLOT_SALT, _CHOICE_SALT = 1, 2


def block_of(position: int) -> tuple[int, int]:
    """Return worker and number of the `BURST_EVERY` requests that share one burst.

    Examples
    --------
    >>> block_of(1), block_of(200), block_of(201)
    ((0, 0), (0, 0), (0, 1))
    """
    return worker_of(position), (sequence_of(position) - 1) // BURST_EVERY


def blocks_of(positions: Sequence[int]) -> list[tuple[int, int]]:
    """Return the block of each of many positions.

    Examples
    --------
    >>> blocks_of([1, 201, 200])
    [(0, 0), (0, 1), (0, 0)]
    """
    places = np.array(positions, dtype=np.int64)
    firsts = places - (sequence_of(places) - 1) % BURST_EVERY
    known = {first: block_of(first) for first in np.unique(firsts).tolist()}
    return [known[first] for first in firsts.tolist()]


def burst_of(position: int) -> tuple[int, int] | None:
    """Return the burst and the place in it, None between bursts.

    The first burst comes at once. Later ones lie anywhere within their block, by a hash: traffic that comes
    round after two hundred requests would else show bursts the same twenty for ever.

    Examples
    --------
    >>> burst_of(1), burst_of(20), burst_of(21)
    ((0, 0), (0, 19), None)
    >>> [n for n in range(201, 401) if burst_of(n)] == list(range(321, 341))
    True
    """
    worker, number = block_of(position)
    place = (sequence_of(position) - 1) % BURST_EVERY - _start(worker, number)
    return (number, place) if 0 <= place < BURST_LENGTH else None


def in_bursts(positions: np.ndarray) -> np.ndarray:
    """Return which requests lie in a burst; ndarray of shape (n_requests,), bool.

    Examples
    --------
    >>> in_bursts(np.array([1, 20, 21, 320, 321, 340, 341])).tolist()
    [True, True, False, False, True, True, False]
    """
    places = (sequence_of(positions) - 1) % BURST_EVERY
    # A block is known by its first request.
    blocks, which = np.unique(positions - places, return_inverse=True)
    starts = np.array([_start(*block_of(first)) for first in blocks.tolist()], dtype=np.int64)
    after = places - starts[which]
    return np.asarray((after >= 0) & (after < BURST_LENGTH))


@lru_cache(maxsize=1_024)
def _start(worker: int, number: int) -> int:
    # Whole slots, so that each place of a block is in one burst of ten.
    slot = int(_SLOTS * hash_position(joined(worker, number), salt=_SLOT_SALT)) if number else 0
    return slot * BURST_LENGTH


@lru_cache(maxsize=1_024)
def _choice(worker: int, number: int) -> float:
    return hash_position(joined(worker, number), salt=_CHOICE_SALT)


def is_chosen(position: int, share: float) -> bool:
    """Whether the whole burst of a request is among a share of all bursts, alike in every lane.

    What is among a smaller share is among each larger one too.
    """
    return share >= 1 or _choice(*block_of(position)) < share


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
