"""Several challengers side by side: a column each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shadowserve.legible import counted
from shadowserve.report.page.first import distance
from shadowserve.report.page.html import Html, element, named
from shadowserve.report.wording import nothing_found, percent, short, spaced

Report = Mapping[str, Any]
MOST_FINDINGS = 3


def overview(reports: Sequence[Report]) -> Html:
    """Return a table with a column for each challenger and a row for each question."""
    rows: dict[str, Callable[[Report], object]] = {
        "verdict": _verdict,
        "worst findings": _worst,
        **{
            name: _limit(name) for name in ("coverage", "disagreement", "loss", "errors", "latency")
        },
        "compared": lambda one: f"{one['compared']:,} of {one['requests']:,}",
        "callers wait": _waits,
        "slowest step": _slowest,
        "lane": _lane,
    }
    head = [element("th", element("a", f"v{one['challenger']}", href=f"?challenger={one['challenger']}"), scope="col") for one in reports]  # fmt: skip
    body = []
    for name, told in rows.items():
        cells = [told(one) for one in reports]
        if any(cells):
            own = [
                element("td", cell, data_name=f"v{one['challenger']}")
                for one, cell in zip(reports, cells, strict=True)
            ]
            body.append(element("tr", element("th", name, scope="row"), own))
    return element(
        "table.overview",
        element(
            "caption",
            "Intervals hold at every look; times are beside the control, on the same requests.",
        ),
        element("thead", element("tr", element("td"), head)),
        element("tbody", body),
    )


def _verdict(report: Report) -> list[Html]:
    verdict = report["verdict"]
    return [element(f"span.verdict.{verdict}", verdict), element("p", distance(report))]


def _worst(report: Report) -> object:
    found = report["findings"]
    if not found:
        return nothing_found(report)
    shown = [
        element(
            "p",
            element(f"b.{one['severity']}", f"{one['severity']}: "),
            spaced(one["kind"]),
            *_at(one),
        )
        for one in found[:MOST_FINDINGS]
    ]
    rest = len(found) - len(shown)
    return [*shown, element("p.note", f"{counted(rest, 'more finding')}") if rest else None]


def _at(finding: Mapping[str, Any]) -> list[object]:
    step = finding["where"]["step"]
    return [" in ", named(step)] if step else []


def _limit(name: str) -> Callable[[Report], object]:
    def told(report: Report) -> object:
        own = [one for one in report["judgement"]["limits"] if one["name"] == name]
        if not own:
            return None
        return [
            element(f"span.{own[0]['state']}", own[0]["state"]),
            element("p.note", own[0]["says"]),
        ]

    return told


def _waits(report: Report) -> object:
    ratio = (report.get("latency") or {}).get("paired_ratio")
    if not ratio or ratio["value"] is None:
        return None
    high = short(ratio["high"]) or "∞"
    return f"{short(ratio['value'])} times as long ({short(ratio['low'])} to {high}; n = {ratio['n']:,})"


def _slowest(report: Report) -> object:
    own = [
        one
        for one in report["features"]
        if one["role"] == "challenger" and one["max_ms"] is not None
    ]
    if not own:
        return None
    one = max(own, key=lambda one: float(one["max_ms"]))
    return [named(one["step"]), f" {short(one['max_ms'])} ms, {percent(one['share'])} of the whole"]


def _lane(report: Report) -> object:
    own = [
        one
        for one in report["ledger"]["lanes"]
        if (one["role"], one["version"]) == ("challenger", report["challenger"])
    ]
    return f"{own[0]['state']}, {own[0]['pending']:,} pending" if own else None
