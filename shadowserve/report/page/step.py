"""One step's history on a page of its own: its times in each role, window by window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shadowserve.report.page.html import Html, element, folded, named, table
from shadowserve.report.page.plot import dots, legend, plot, polyline
from shadowserve.report.page.scales import Clock, Log
from shadowserve.report.page.trend import moment
from shadowserve.report.wording import short

HEIGHT = 220
MOST_ROWS = 60
ROLES = ("champion", "control", "challenger")
_LINES = {"p50_ms": ("", "median"), "p99_ms": (".faint", "p99"), "max_ms": (".trace", "slowest")}


def step_page(history: Mapping[str, Any], step: str, *, model: str, challenger: int) -> list[Html]:
    """Return the body of a step's page.

    Parameters
    ----------
    history : mapping of role to series
        As `over_time.of_step` reads it.
    """
    timed = {role: history[role] for role in ROLES if history.get(role, {}).get("until")}
    back = element(
        "nav",
        element("a", "Back to the report", href=f"./?challenger={challenger}#steps"),
        aria_label="Back",
    )
    head = element(
        "header",
        element("h1", "Step ", named(step)),
        element("p.note", f"{model}, challenger v{challenger}"),
    )
    if not timed:
        told = "No closed window has a time of this step. The first closes after a minute, or after 1,000 requests."
        return [back, head, element("p.empty", told)]
    x = Clock.over([at for one in timed.values() for at in one["until"]])
    known = [ms for one in timed.values() for key in _LINES for ms in one[key] if ms is not None]
    y = Log.over(known, unit="ms")
    names = [(f"{role}{css}", f"{role}, {what}") for role in timed for css, what in _LINES.values()]
    lines = [
        polyline(
            x, y, list(zip(one["until"], one[key], strict=True)), css=f"{role}{css}", height=HEIGHT
        )
        for role, one in timed.items()
        for key, (css, _) in _LINES.items()
    ]
    slowest = [
        dots(
            x,
            y,
            [(at, ms) for at, ms in zip(one["until"], one[key], strict=True) if ms is not None],
            css=role,
            height=HEIGHT,
        )
        for role, one in timed.items()
        # Of one window there is no line to see.
        for key in (_LINES if len(one["until"]) == 1 else ("max_ms",))
    ]
    single = all(len(one["until"]) == 1 for one in timed.values())
    about = (
        "Dots: median, p99 and slowest of the one window so far."
        if single
        else "Dots: the slowest of each window."
    )
    columns = ("until", "n", "p50_ms", "p99_ms", "max_ms")
    rows = [
        (element(f"span.{role}", role), moment(at), f"{n:,}", *map(short, ms))
        for role, one in timed.items()
        for at, n, *ms in list(zip(*(one[name] for name in columns), strict=True))[-MOST_ROWS:]
    ]
    return [
        back,
        head,
        element(
            "p.note",
            f"Of requests that were scored alone, on a logarithmic axis. {about} Time in UTC, when a lane's window closed.",
        ),
        legend(names),
        plot(
            x,
            y,
            lines,
            slowest,
            told=f"Times of step {step} over time; the slowest {short(max(known))} ms",
            height=HEIGHT,
        ),
        folded(
            "Numbers",
            table(("role", "window until", "requests", "p50 ms", "p99 ms", "slowest ms"), rows),
        ),
    ]
