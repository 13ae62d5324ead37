"""Where in the traffic the two disagree: each part as a bar with its interval, beside the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shadowserve.report.page.html import Html, element, named, section, table
from shadowserve.report.page.plot import percent as across
from shadowserve.report.page.plot import rectangle
from shadowserve.report.page.scales import Linear
from shadowserve.report.wording import percent

Report = Mapping[str, Any]
LONGEST_SLICE = 120


def where(report: Report) -> Html | None:
    """Return the parts of the traffic that stand out."""
    slices = report.get("slices")
    if slices is None or (not slices and not report.get("compared")):
        return None
    if not slices:
        told = "No part of the traffic stands out: the two lie as far apart everywhere, as far as is proven."
        return section("where", "Where they disagree", element("p", told))
    axis = Linear(0.0, 1.0, 0.25, "%")
    head = (
        "part of the traffic",
        "requests",
        "share",
        "disagreement there and its interval",
        "there",
        "elsewhere",
    )
    rows = [
        (
            named(one["slice"], most=LONGEST_SLICE),
            f"{one['n']:,}" if one.get("n") is not None else "",
            percent(one["share"]),
            _bar(axis, one),
            _interval(one),
            percent(one["elsewhere"]),
        )
        for one in slices
    ]
    return section(
        "where",
        "Where they disagree",
        element("p.note", "From 0 % to 100 %. Bar: the interval that holds at every look. Dot: the mean there. "
                "Upright line: elsewhere. Parts may overlap."),
        table(head, rows),
    )  # fmt: skip


def _interval(one: Mapping[str, Any]) -> str:
    low, high = one.get("low"), one.get("high")
    told = percent(one["disagreement"])
    return told if low is None or high is None else f"{told} ({percent(low)} to {percent(high)})"


def _bar(axis: Linear, one: Mapping[str, Any]) -> Html:
    low, high = one.get("low"), one.get("high")
    mean, rest = one["disagreement"], one["elsewhere"] or 0.0
    at, beside = across(axis.share(mean)), across(axis.share(rest))
    return element(
        "svg.stands",
        element("rect.rail", x=0, y=7, width="100%", height=6, rx=3),
        rectangle(
            axis,
            mean if low is None else low,
            mean if high is None else high,
            top=4,
            height=12,
            css="challenger",
        ),
        element("line.allowed", x1=beside, x2=beside, y1=0, y2=20),
        element("circle.dot", cx=at, cy=10, r=4),
        width="100%",
        height=20,
        role="img",
        aria_label=f"{_interval(one)} there, {percent(rest)} elsewhere",
    )
