"""What became of every request, where the lanes' time goes, and what is measured otherwise than expected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shadowserve.report.page.html import Html, element, section, table
from shadowserve.report.page.plot import bar
from shadowserve.report.wording import OUTCOMES, percent, short, spaced

Report = Mapping[str, Any]


def ledger(report: Report) -> Html | None:
    """Return what became of every request."""
    told = report.get("ledger")
    if told is None:
        return None
    champion, journal = told["champion"], told["journal"]
    counted = [
        name
        for name, n in champion.items()
        if name not in ("version", "restarts") and isinstance(n, int)
    ]
    lanes = [
        (
            f"{lane['role']} v{lane['version']}",
            lane["state"] + (f": {lane['reason']}" if lane["reason"] else ""),
            *(f"{lane.get(name, 0):,}" for name in OUTCOMES),
            f"{sum(lane['skipped'].values()):,}",
            f"{lane['pending']:,}",
        )
        for lane in told["lanes"]
    ]
    return section(
        "ledger",
        "Ledger",
        element(
            "p",
            f"Champion v{champion['version']}: ",
            ", ".join(f"{champion[name]:,} {spaced(name)}" for name in counted),
            f". Journal: {journal['appended']:,} recorded"
            + (
                f", {journal['append_failed']:,} could not be. "
                if journal["append_failed"]
                else ". "
            ),
            element("span.kept", "It balances.")
            if told["balanced"]
            else element("span.broken", "It does not balance."),
        ),
        table(("lane", "state", *(spaced(name) for name in OUTCOMES), "skipped", "pending"), lanes),
        [element("p.note", _behind(lane)) for lane in told["lanes"] if lane.get("behind")],
    )


def _behind(lane: Mapping[str, Any]) -> str:
    who = f"{lane['role']} v{lane['version']}: "
    return f"{who[:1].upper()}{who[1:]}{lane['behind']['says']}."


def lane_time(report: Report) -> Html | None:
    """Return where the challenger's lane spends its time."""
    spent = (report.get("latency") or {}).get("lane_ms")
    whole = sum(spent.values()) if spent else 0.0
    if not spent or not whole:
        return None
    rows = [
        (spaced(name), percent(ms / whole), bar(ms / whole, css="challenger"), short(ms / 1e3))
        for name, ms in sorted(spent.items(), key=lambda item: -item[1])
    ]
    return section(
        "lane-time", "Time of the challenger's lane", table(("activity", "share", "", "s"), rows)
    )


def notes(report: Report) -> Html | None:
    """Return what is not measured as one would expect."""
    told = report.get("notes")
    return element("ul.note", [element("li", note) for note in told], id="notes") if told else None
