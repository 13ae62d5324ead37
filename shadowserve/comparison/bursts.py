"""Bursts: stretches of requests that challenger and control score one after the other, to be timed in pairs."""

from __future__ import annotations

from dataclasses import dataclass

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
