"""The requests that differ most and the slowest, each with a page of its own where pages are served."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from shadowserve.report.page.html import Html, element, named, section, table
from shadowserve.report.wording import percent, short

Report = Mapping[str, Any]
MOST = 10


def requests(report: Report, *, linked: bool = False) -> Html | None:
    """Return the requests that differ most, and the slowest, by the ids that callers know them by."""
    worst = [one for one in report.get("worst_requests") or () if one["key"] > 0][:MOST]
    slowest = (report.get("slow_requests") or ())[:MOST]
    if not worst and not slowest:
        return None
    parts = [*_worst(report, worst, linked=linked), *_slowest(report, slowest, linked=linked)]
    return section("requests", "Worst and slowest requests", parts)


def _worst(report: Report, worst: list[Mapping[str, Any]], *, linked: bool) -> Iterator[Html]:
    if not worst:
        return
    rows = [
        (_link(report, one["position"], one["payload"], linked=linked), percent(one["key"]))
        for one in worst
    ]
    yield element("h3", "Requests that differ most")
    yield table(("request id", "disagreement"), rows)


def _slowest(report: Report, slowest: Any, *, linked: bool) -> Iterator[Html]:
    if not slowest:
        return
    yield element("h3", "Slowest requests")
    rows = [
        (
            _link(
                report,
                one["position"],
                one["payload"].get("request_id") or one["position"],
                linked=linked,
            ),
            one["payload"].get("note") or short(one["key"]),
            named(one["payload"]["step"] or ""),
            short(one["payload"]["step_ms"]),
            named(one["payload"]["column"] or ""),
            short(one["payload"]["size"]),
        )
        for one in slowest
    ]
    yield table(("request id", "ms", "in step", "ms there", "longest column", "size"), rows)


def _link(report: Report, position: int, name: object, *, linked: bool) -> Html:
    if not linked:
        return named(name)
    return element(
        "a", named(name), href=f"request?challenger={report['challenger']}&position={position}"
    )
