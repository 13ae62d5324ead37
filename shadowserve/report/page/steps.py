"""Time by step: challenger beside control in one row, its share of the whole, and how it grows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from shadowserve.report.legend import PARTS
from shadowserve.report.page.growth import growing
from shadowserve.report.page.html import Html, element, folded, named, section, table
from shadowserve.report.page.plot import legend, percent, rules, ticks_below
from shadowserve.report.page.scales import Log
from shadowserve.report.wording import cost_to_callers, short
from shadowserve.report.wording import percent as told_percent

Report = Mapping[str, Any]
Timed = Mapping[str, Any]

ROLES = ("champion", "control", "challenger")
LINE = 13
"""Pixels of one role's line."""
LONGEST_STEP = 80


def steps(report: Report, *, linked: bool = False) -> Html | None:
    """Return the time by step and role.

    Parameters
    ----------
    report : mapping
    linked : bool
        Whether a step leads to its history, which only a served page has.
    """
    features = report.get("features")
    if not features:
        return None
    return section("steps", "Time by step", list(_steps(report, features, linked=linked)))


def _steps(report: Report, features: Sequence[Timed], *, linked: bool) -> Iterator[Html]:
    yield from _whole(report.get("latency") or {})
    timed = [one for one in features if one["p50_ms"] is not None and one["max_ms"] is not None]
    if timed:
        yield legend([(role, role) for role in ROLES])
        yield element(
            "p.note",
            "The slowest step first. Dot: median. Thick: to the p90. Thin: to the slowest seen. "
            "Champion: as callers were served. Control: its version scored again, the fair yardstick.",
        )
        yield _ranges(timed, report, linked=linked)
        yield from growing(timed)
    else:
        yield element("p.empty", "Nothing has been timed yet.")
    yield folded("All steps in numbers", _numbers(features), name="steps-numbers")


def _ranges(timed: Sequence[Timed], report: Report, *, linked: bool) -> Html:
    """Draw each step's times in each role on one logarithmic axis."""
    axis = Log.over((ms for one in timed for ms in (one["p50_ms"], one["max_ms"])), unit="ms")
    by_step: dict[str, dict[str, Timed]] = {}
    for one in timed:
        by_step.setdefault(one["step"], {})[one["role"]] = one
    order = sorted(by_step, key=lambda step: -_weight(by_step[step]))
    rows = [_row(axis, step, by_step[step], report, linked=linked) for step in order]
    scale = element("svg.ticks", ticks_below(axis, 0), width="100%", height=22, aria_hidden="true")
    return element(
        "div.ranges", rows, element("div.range.axis", element("div"), scale, element("div"))
    )


def _weight(roles: Mapping[str, Timed]) -> float:
    own = roles.get("challenger") or next(iter(roles.values()))
    return float(own["max_ms"])


def _row(axis: Log, step: str, roles: Mapping[str, Timed], report: Report, *, linked: bool) -> Html:
    own = [roles[role] for role in ROLES if role in roles]
    height = len(own) * LINE + 4
    name = named(step, most=LONGEST_STEP)
    if linked:
        query = urlencode({"challenger": report["challenger"], "step": step})
        name = element("a", name, href=f"step?{query}")
    return element(
        "div.range",
        element("div.name", name),
        element(
            "svg.plot",
            rules(axis, height),
            [_range(axis, one, at * LINE + LINE / 2 + 2) for at, one in enumerate(own)],
            width="100%",
            height=height,
            role="img",
            aria_label="; ".join(map(_told, own)),
        ),
        element("div.shares", [element(f"span.{one['role']}", _share(one)) for one in own]),
    )


def _share(one: Timed) -> str:
    share = told_percent(one["share"]) if one.get("share") is not None else ""
    return f"{short(one['p50_ms'])} … {short(one['max_ms'])} ms" + (f", {share}" if share else "")


def _told(one: Timed) -> str:
    share = f", {told_percent(one['share'])} of the whole" if one.get("share") is not None else ""
    return (
        f"{one['role']}: median {short(one['p50_ms'])} ms, slowest {short(one['max_ms'])} ms{share}"
    )


def _range(axis: Log, one: Timed, y: float) -> Html:
    """Draw one role's range: a line to the maximum, a thick one to the p90, a dot at the median."""
    median, high, most = (one[name] for name in ("p50_ms", "p90_ms", "max_ms"))
    at = [percent(axis.share(value)) for value in (median, high or median, most)]
    return element(
        f"g.{one['role']}",
        element("title", _told(one)),
        element("line.most", x1=at[0], x2=at[2], y1=f"{y:g}", y2=f"{y:g}"),
        element("line.high", x1=at[0], x2=at[1], y1=f"{y:g}", y2=f"{y:g}"),
        element("circle", cx=at[0], cy=f"{y:g}", r=4),
        element("circle.end", cx=at[2], cy=f"{y:g}", r=2.5),
    )


def _numbers(features: Sequence[Timed]) -> list[Html]:
    head = ("role", "step", "timed", "p50 ms", "p90 ms", "p99 ms", "max ms", "share", "grows with")
    rows = [
        (
            element(f"span.{one['role']}", one["role"]),
            named(one["step"], most=LONGEST_STEP),
            f"{one['n']:,}",
            *(short(one[name]) for name in ("p50_ms", "p90_ms", "p99_ms", "max_ms")),
            f"({told_percent(one['share'])})" if one.get("within") else told_percent(one["share"]),
            _growth(one["growth"]),
        )
        for one in features
    ]
    parts = [element("p.note", PARTS)] if any(one.get("within") for one in features) else []
    return [table(head, rows), *parts]


def _growth(growth: Timed | None) -> Html | None:
    if growth is None:
        return None
    mark = "b" if growth["superlinear"] else "span"
    return element(mark, named(growth["column"]), element("sup", short(growth["exponent"])))


def _whole(latency: Mapping[str, Any]) -> Iterator[Html]:
    """Yield what is known of the time as a whole: beside the control, and to callers."""
    ratio = latency.get("paired_ratio")
    if ratio and ratio["n"] and ratio["value"] is None:
        yield element("p", f"Both lanes timed {ratio['n']:,} requests; that is too few to compare.")
    elif ratio and ratio["n"]:
        yield element(
            "p",
            f"On the same requests callers wait {short(ratio['value'])} times as long with the challenger "
            f"(between {short(ratio['low'])} and {short(ratio['high'])}; {ratio['n']:,} pairs).",
        )
    for cost in latency.get("cost_to_callers") or ():
        yield element("p", cost_to_callers(cost))
    if latency.get("timed_alone"):
        yield element(
            "p.note",
            f"Figures of {latency['timed_alone']:,} requests that were scored alone; "
            f"{latency['warmup']['n']:,} more came while the lane was warming up and are in no figure.",
        )
    measuring = latency.get("measuring")
    if measuring and measuring["timed_share"] is not None and measuring["time_share"] is not None:
        yield element(
            "p.note",
            f"Timed alone: {told_percent(measuring['timed_share'])} of requests; measuring takes "
            f"{told_percent(measuring['time_share'])} of the lane's time, of which it may take "
            f"{told_percent(measuring['budget_share'])}.",
        )
