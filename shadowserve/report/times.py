"""The times in a report: of whole requests by role, and of each step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from shadowserve.comparison.timing import BETWEEN, RoleTiming, StepTiming, step_around
from shadowserve.judgement.facts import Facts
from shadowserve.judgement.findings.capacity import HEADROOM
from shadowserve.judgement.findings.gains import LIMITS
from shadowserve.settings.policy import Policy
from shadowserve.statistics.growth import GrowthFit
from shadowserve.statistics.input_sizes import SizeCounts
from shadowserve.statistics.tally import Quantiles

QUANTILE_FROM = 1_000
"""Effective observations below which no p99 is shown."""
MOST_POINTS = 60
"""Timings of a step that a report holds, for the picture of its growth."""


def latency(known: Facts, policy: Policy) -> dict[str, Any]:
    """Return the times of whole requests, and what callers wait with the challenger beside the control."""
    if known.learned is None:
        return {}
    learned = known.learned
    paired = known.paired
    # Only the lower end can break the limit, so it alone spends a part of alpha.
    ratio = paired.interval(policy.alpha, alpha_low=policy.alpha / LIMITS)
    return {
        "champion": _quantiles(learned.champion.total),
        "challenger": _quantiles(learned.lane.total),
        "control": _quantiles(known.control.lane.total) if known.control else None,
        "paired_ratio": {
            "value": ratio.ratio,
            "low": ratio.low,
            "high": ratio.high,
            "n": paired.n_pairs,
            "work": ratio.work,
            "beside_ms": paired.beside_ms,
            "in_turn": known.in_turn,
            "process_lives": len(paired.lives),
        },
        "timed_alone": learned.timed,
        "measuring": learned.measuring.to_dict(),
        "lane_ms": {activity: ns / 1e6 for activity, ns in learned.spent.total.items()},
        "warmup": learned.warmup.summary(),
        "starved_ms": learned.starved_ms.summary(),
        "cost_to_callers": [asdict(cost) for cost in learned.harm.costs()],
        "lag_ms": _ranks(learned.lag_ms, ("p50", 0.5), ("p99", 0.99)),
    }


def _quantiles(timing: StepTiming) -> dict[str, Any]:
    told = _ranks(timing.wall, ("p50_ms", 0.5), ("p90_ms", 0.9))
    tail = timing.wall.quantile(0.99) if timing.spent.n_effective >= QUANTILE_FROM else None
    cost = timing.calls.fit()
    return {
        "n": timing.spent.n,
        "n_effective": timing.spent.n_effective,
        **told,
        "p99_ms": tail,
        "max_ms": timing.spent.summary()["max"],
        "fixed_ms": cost.fixed_ms if cost else None,
        "per_row_ms": cost.per_row_ms if cost else None,
    }


def _ranks(sketch: Quantiles, *ranks: tuple[str, float]) -> dict[str, float | None]:
    return {name: sketch.quantile(rank) if sketch.n_effective else None for name, rank in ranks}


def capacity(known: Facts) -> dict[str, Any] | None:
    """Return how many requests a second one process of each role could serve, and how many came.

    None before anything was timed.
    """
    if known.learned is None or known.rate_per_s is None:
        return None
    control = known.control.busy_ms if known.control else None
    roles = {"challenger": known.learned.busy_ms, "control": control}
    return {
        "traffic_per_s": known.rate_per_s,
        "peak_per_s": 2 * known.rate_per_s,
        "headroom": HEADROOM,
        "per_process": {
            role: {"n": busy.n, "mean_ms": mean, "sustainable_per_s": 1e3 / mean}
            for role, busy in roles.items()
            if busy is not None and busy.n and (mean := busy.summary()["mean"])
        },
    }


def features(known: Facts) -> Iterator[dict[str, Any]]:
    """Yield each step of each role, and what lies between them, with its share and its growth."""
    roles: dict[str, RoleTiming | None] = {
        "champion": known.learned.champion if known.learned else None,
        "challenger": known.learned.lane if known.learned else None,
        "control": known.control.lane if known.control else None,
    }
    for role, timing in roles.items():
        if timing is None:
            continue
        whole = timing.total.spent.summary()["mean"] or 0.0
        rows = dict(timing.steps)
        if timing.between.spent.n:
            # Told as well, so that the shares add up to the whole.
            rows[BETWEEN] = timing.between
        for step, own in rows.items():
            mean = own.spent.summary()["mean"]
            yield {
                "role": role,
                "step": step,
                "columns": list(own.columns),
                "within": step_around(step, rows),
                **_quantiles(own),
                "cpu_ms": own.cpu.summary()["mean"],
                "share": mean / whole if whole and mean is not None else None,
                "growth": _growth(own, known.learned.sizes if known.learned else {}),
            }


def _growth(timing: StepTiming, sizes: Mapping[str, SizeCounts]) -> dict[str, Any] | None:
    """Return the growth against the column that the step's cost follows most.

    What it takes at the tail is predicted for the sizes of all requests, timed or not.
    """
    fits = {column: fit.fit() for column, fit in timing.growth.items()}
    growing = {
        column: growth for column, growth in fits.items() if growth is not None and growth.grows
    }
    if not growing:
        return None
    column = max(growing, key=lambda c: float(growing[c].predict(growing[c].largest_size)))
    found = growing[column]
    p99_ms, max_ms = found.tail(sizes[column]) if column in sizes else (None, None)
    return {
        "column": column,
        "exponent": found.exponent,
        "low": found.low,
        "high": found.high,
        "superlinear": found.superlinear,
        "fixed_ms": found.fixed_ms,
        "per_unit_ms": found.per_unit_ms,
        "p99_ms": p99_ms,
        "max_ms": max_ms,
        "points": _thinned(timing.growth[column]),
        "sizes": _sizes(sizes[column]) if column in sizes else None,
    }


def _thinned(fit: GrowthFit) -> list[list[float]]:
    """Return sizes and times of `MOST_POINTS` timings at most, evenly of all octaves and the largest."""
    size, ms = fit.kept()
    order = np.argsort(size, kind="stable")
    every = order[:: -(-order.size // MOST_POINTS) or 1]
    chosen = sorted({*every.tolist(), *order[-4:].tolist()}, key=lambda i: float(size[i]))
    return [[float(size[i]), float(ms[i])] for i in chosen]


def _sizes(seen: SizeCounts) -> dict[str, float | int]:
    """Return how large the column's values are in all requests, timed or not."""
    ranks = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
    return {"n": seen.n, **{n: seen.quantile(q) for n, q in ranks.items()}, "max": seen.largest}
