"""The page's figures: SVG, drawn from the report's own numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil, floor, log10
from typing import Any

from shadowserve.report.page.html import Html, element
from shadowserve.report.wording import short

WIDTH, LABELS, BAR, GAP = 900, 280, 13, 12
ROLES = ("champion", "control", "challenger")
_SMALLEST_MS = 1e-3


def step_ranges(features: Sequence[Mapping[str, Any]]) -> Html | None:
    """Draw each step's time in each role, from its median over its p90 to its maximum.

    Parameters
    ----------
    features : sequence of mapping
        As in the report; steps without times are left out.

    Returns
    -------
    Html or None
        An SVG with a logarithmic axis in milliseconds; None where nothing is timed.
    """
    timed = [one for one in features if one["p50_ms"] is not None and one["max_ms"] is not None]
    if not timed:
        return None
    axis = _Axis.over(number for one in timed for number in (one["p50_ms"], one["max_ms"]))
    rows, y = [], GAP
    for step in dict.fromkeys(one["step"] for one in timed):
        own = [one for role in ROLES for one in timed if (one["step"], one["role"]) == (step, role)]
        middle = y + len(own) * BAR / 2 + 4
        label = element("text.label", _shortened(step), x=LABELS - 12, y=f"{middle:.0f}")
        rows.append([label, [_range(axis, one, y + i * BAR) for i, one in enumerate(own)]])
        y += len(own) * BAR + GAP
    return element(
        "svg",
        axis.lines(y),
        rows,
        viewBox=f"0 0 {WIDTH} {y + 24}",
        role="img",
        aria_label="Time by step and role in milliseconds: median, p90 and maximum",
    )


class _Axis:
    """A logarithmic axis over whole powers of ten."""

    def __init__(self, low: int, high: int) -> None:
        # Times that are all alike would leave no room between the axis's ends.
        self._low, self._high = low, max(high, low + 1)

    @classmethod
    def over(cls, numbers: Iterable[float]) -> _Axis:
        # Zero has no logarithm.
        exponents = [log10(max(number, _SMALLEST_MS)) for number in numbers]
        return cls(floor(min(exponents)), ceil(max(exponents)))

    def x(self, value: float) -> float:
        part = (log10(max(value, _SMALLEST_MS)) - self._low) / (self._high - self._low)
        return LABELS + part * (WIDTH - LABELS - 40)

    def lines(self, bottom: float) -> list[Html]:
        drawn = []
        for exponent in range(self._low, self._high + 1):
            x = f"{self.x(10.0**exponent):.1f}"
            drawn += [
                element("line.grid", x1=x, x2=x, y1=0, y2=bottom),
                element("text.tick", f"{10.0**exponent:g} ms", x=x, y=f"{bottom + 16:.0f}"),
            ]
        return drawn


def _range(axis: _Axis, one: Mapping[str, Any], top: float) -> Html:
    """Draw one role's range: a line to the maximum, a thick one to the p90, a dot at the median."""
    y = f"{top + BAR / 2:.1f}"
    median, high, most = (one[name] for name in ("p50_ms", "p90_ms", "max_ms"))
    at = {name: f"{axis.x(value):.1f}" for name, value in (("p50", median), ("max", most))}
    told = f"{one['role']}, {one['step']}: median {short(median)} ms, maximum {short(most)} ms"
    return element(
        f"g.{one['role']}",
        element("title", told),
        element("line.most", x1=at["p50"], x2=at["max"], y1=y, y2=y),
        element("line.high", x1=at["p50"], x2=f"{axis.x(high or median):.1f}", y1=y, y2=y),
        element("circle", cx=at["p50"], cy=y, r=4),
        element("circle.end", cx=at["max"], cy=y, r=2.5),
    )


def _shortened(step: str) -> str:
    return step if len(step) <= 38 else f"…{step[-37:]}"


def bar(share: float, *, css: str) -> Html:
    """Return a bar whose length is a share from 0 to 1."""
    width = 100 * min(max(share, 0.0), 1.0)
    return element("span.bar", element(f"i.{css}", style=f"width:{width:.1f}%"))
