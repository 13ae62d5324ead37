"""Pairs: one request of a burst as challenger and control both scored it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shadowserve.comparison.bursts import BurstRecord, burst_of
from shadowserve.records import worker_of


@dataclass(frozen=True, slots=True)
class Pair:
    """One request of a burst as challenger and control both scored it.

    Parameters
    ----------
    challenger_ms, control_ms : float or None
        None where the times do not count (warm-up, scored in a batch).
    arrived_ns : int
        By the wall clock; 0 where an earlier release kept the pair.
    server_ms : float
        What the server took of the answer besides the model.
    """

    position: int
    challenger_ms: float | None
    control_ms: float | None
    challenger_steps: Sequence[float]
    control_steps: Sequence[float]
    challenger_scores: Sequence[float] | None
    control_scores: Sequence[float] | None
    unit: int | None = None
    arrived_ns: int = 0
    server_ms: float = 0.0


def pair_of(position: int, own: BurstRecord, control: BurstRecord) -> Pair:
    """Return what the challenger's lane and the control's recorded of one request."""
    return Pair(
        position,
        own.ms,
        control.ms,
        own.steps,
        control.steps,
        own.scores,
        control.scores,
        own.unit,
        own.at,
        own.server_ms,
    )


def bursts(pairs: Iterable[Pair]) -> list[list[Pair]]:
    """Return the pairs that both lanes timed, by burst, in the order of arrival."""
    found: dict[tuple[int, int], list[Pair]] = {}
    for pair in pairs:
        # Times are None or 0 for the warm-up at a burst's beginning; log ratios need both.
        if pair.control_ms and pair.challenger_ms:
            burst = burst_of(pair.position)
            if burst is not None:
                found.setdefault((worker_of(pair.position), burst[0]), []).append(pair)
    return sorted(found.values(), key=lambda burst: burst[0].arrived_ns)


def first_of_each(pairs: Iterable[Pair]) -> list[Pair]:
    """Return the first pair of each unit; those without an entity are units of their own."""
    seen: set[int] = set()
    kept = []
    for pair in pairs:
        if pair.unit is None or pair.unit not in seen:
            kept.append(pair)
        if pair.unit is not None:
            seen.add(pair.unit)
    return kept
