"""A bound on the names of metrics in one run; what is beyond it lies in a table beside the run.

A model of three hundred steps has eight metrics for each in every window: thousands of names, in which
nobody finds anything and which a tracking server keeps for ever. A name once sent goes on being sent, so
that no series breaks off. New names come in while there is room: what is no step's first, then the steps
that take longest.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

MOST_NAMES = 400
"""Names of metrics that one run gets."""
IN_TABLE = "evidence/in_table"
"""Counts a window's metrics that are in the table only."""
TABLE = "other_metrics.json"
_STEPS = "feature_ms/"


def admitted(
    values: Mapping[str, float], known: Collection[str], *, most: int = MOST_NAMES
) -> set[str]:
    """Return which of a window's metrics are sent: those that always were, and as many new as have room.

    Parameters
    ----------
    values : mapping of name to number
        A window's metrics.
    known : collection of str
        Names that the run has.

    Examples
    --------
    >>> sorted(admitted({"ledger/requests": 9, "feature_ms/champion/a/p50": 1, "feature_ms/champion/b/p50": 2}, (), most=2))
    ['feature_ms/champion/b/p50', 'ledger/requests']
    """
    chosen = set(known) & values.keys()
    room = most - len(known)
    for group in _groups(values, chosen):
        # A step's metrics come in together or not at all: they are read beside each other.
        if len(group) <= room:
            chosen |= set(group)
            room -= len(group)
    return chosen


def table(values: Mapping[str, float], *, window: int) -> dict[str, Any]:
    """Return the metrics that were not sent, as MLflow shows tables."""
    rows = [[name, value, window] for name, value in sorted(values.items())]
    return {"columns": ["metric", "value", "window"], "data": rows}


def _groups(values: Mapping[str, float], chosen: Collection[str]) -> list[list[str]]:
    """Return the new names that belong together, in the order in which they come in."""
    new = [name for name in values if name not in chosen]
    plain = [[name] for name in sorted(new) if not name.startswith(_STEPS)]
    steps: dict[str, list[str]] = {}
    for name in new:
        if name.startswith(_STEPS):
            steps.setdefault(name.rpartition("/")[0], []).append(name)
    slowest = sorted(steps, key=lambda step: (-max(values[n] for n in steps[step]), step))
    return [*plain, *(steps[step] for step in slowest)]
