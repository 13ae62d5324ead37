"""The times of a call without those in which its thread was runnable and did not run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shadowserve.scorer.scorer import Scored


@dataclass(frozen=True, slots=True)
class Clean:
    """The times of one call without starvation: of its steps, of the whole, and of named parts.

    Parameters
    ----------
    wall_ns : tuple of int
        One entry a step; empty where the steps are not known.
    total_ns : int
        The steps and what lies between them.
    inner : tuple of (name, columns, wall_ns, cpu_ns)
        Parts that the model's author named; each lies within its step, before and after.
    """

    wall_ns: tuple[int, ...]
    total_ns: int
    inner: tuple[tuple[str, tuple[str, ...], int, int], ...]

    @classmethod
    def of(cls, scored: Scored, starved_ns: int) -> Clean:
        """Take starvation out of all times of a call, by one rule."""
        total_ns = scored.featurization_ns + scored.inference_ns
        between = (total_ns - sum(scored.wall_ns), scored.total_cpu_ns - sum(scored.cpu_ns))
        wall_ns, cpu_ns = (*scored.wall_ns, between[0]), (*scored.cpu_ns, max(0, between[1]))
        share = starved_share(wall_ns, cpu_ns, starved_ns)
        left = without_starvation(wall_ns, cpu_ns, starved_ns)
        inner = tuple(
            (
                part.name,
                tuple(map(str, part.columns)),
                part.wall_ns - round(max(0, part.wall_ns - part.cpu_ns) * share),
                part.cpu_ns,
            )
            for part in scored.inner
        )
        return cls(left[:-1], sum(left), inner)


def without_starvation(
    wall_ns: Sequence[int], cpu_ns: Sequence[int], starved_ns: int
) -> tuple[int, ...]:
    """Take the time that a thread was runnable but not running out of its steps.

    The kernel tells the sum only. It can have fallen just where a step's wall time exceeds its CPU
    time, and is taken out there in proportion.

    Examples
    --------
    >>> without_starvation((10, 40), (10, 10), 20)
    (10, 20)
    """
    share = starved_share(wall_ns, cpu_ns, starved_ns)
    both = zip(wall_ns, cpu_ns, strict=True)
    return tuple(wall - round(max(0, wall - cpu) * share) for wall, cpu in both)


def starved_share(wall_ns: Sequence[int], cpu_ns: Sequence[int], starved_ns: int) -> float:
    """Return which share of the time without CPU was starvation; at most all of it.

    Examples
    --------
    >>> starved_share((10, 40), (10, 10), 15)
    0.5
    """
    gaps = sum(max(0, wall - cpu) for wall, cpu in zip(wall_ns, cpu_ns, strict=True))
    return min(1.0, max(0, starved_ns) / gaps) if gaps else 0.0
