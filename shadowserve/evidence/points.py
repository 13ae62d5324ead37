"""A closed window's metrics as points that MLflow can store: finite, named safely, with a step."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from shadowserve.evidence import bounding
from shadowserve.evidence.names import safe_name
from shadowserve.state.lane_file import Window

LEFT_OUT = "evidence/left_out"
"""Counts a window's metrics that are no finite number and were therefore not sent."""


@dataclass(frozen=True, slots=True)
class Point:
    """One value of one metric.

    Parameters
    ----------
    name : str
        As MLflow takes it.
    timestamp_ms : int
        When the window was closed, by the wall clock.
    step : int
        Number of the window.
    """

    name: str
    value: float
    timestamp_ms: int
    step: int


@dataclass(frozen=True, slots=True)
class Points:
    """A window's points, and the original names of those that had to be renamed.

    Parameters
    ----------
    names : frozenset of str
        Original names of all points.
    rest : mapping of name to number
        What is beyond the bound on names, and goes into a table.
    """

    points: tuple[Point, ...]
    renamed: Mapping[str, str]
    names: frozenset[str] = frozenset()
    rest: Mapping[str, float] = field(default_factory=dict)


def points_of(window: Window, *, known: Collection[str] = ()) -> Points:
    """Turn a window's metrics into points; the same window always gives the same points.

    Parameters
    ----------
    window : Window
        Values that are NaN, infinite or no number are left out and counted.
    known : collection of str
        Original names of metrics that the run has: there is a bound on how many come to them.
    """
    found: Mapping[str, Any] = json.loads(window.metrics)  # reads NaN too, to leave it out
    values = {name: value for name, raw in found.items() if (value := _finite(raw)) is not None}
    if len(values) < len(found):
        values[LEFT_OUT] = float(len(found) - len(values))
    sent = bounding.admitted(values, known)
    rest = {name: value for name, value in values.items() if name not in sent}
    if rest:
        values[bounding.IN_TABLE] = float(len(rest))
        sent.add(bounding.IN_TABLE)
    values = {name: value for name, value in values.items() if name in sent}
    names = {name: safe_name(name) for name in values}
    at_ms = window.closed_ns // 10**6
    return Points(
        points=tuple(
            Point(names[name], value, at_ms, window.number) for name, value in values.items()
        ),
        renamed={name: safe for name, safe in names.items() if safe != name},
        names=frozenset(names),
        rest=rest,
    )


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
