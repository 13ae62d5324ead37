"""What a whole run comes to so far, for the columns of MLflow's run table.

That table shows the last value of each metric. A window's value there makes a rejected run look
harmless, so the run's own totals have names of their own.
"""

from __future__ import annotations

from shadowserve.comparison.learned import Learned
from shadowserve.comparison.timing import RoleTiming

P99_FROM = 1_000
"""Effective observations below which no p99 is told."""


def totals(learned: Learned, *, role: str) -> dict[str, float]:
    """Return the totals by metric name, as of what was learnt.

    Parameters
    ----------
    learned : Learned
    role : str
        The lane's role; names its series.
    """
    outputs = learned.outputs
    found = {"total/compared": float(outputs.disagreement.n)}
    if outputs.disagreement.n:
        found["total/disagreement"] = outputs.disagreement.mean
        found["total/agreement"] = 1.0 - outputs.intolerant.mean
    found |= _times("champion", learned.champion) | _times(role, learned.lane)
    return found


def _times(who: str, timing: RoleTiming) -> dict[str, float]:
    spent, wall = timing.total.spent, timing.total.wall
    if not spent.n:
        return {}
    ranks = {"p50": 0.5, **({"p99": 0.99} if spent.n_effective >= P99_FROM else {})}
    found = {f"total/latency_ms/{who}/{name}": wall.quantile(rank) for name, rank in ranks.items()}
    return {**found, f"total/latency_ms/{who}/max": float(spent.summary()["max"])}
