"""Divergence over time, beside what the champion differs from itself, and what happened meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from math import sqrt
from typing import Any

from shadowserve.report.page.html import Html, element, folded, section, table
from shadowserve.report.page.plot import band, legend, plot, polyline, upright
from shadowserve.report.page.scales import Clock, Linear, Scale
from shadowserve.report.wording import percent, short

Report = Mapping[str, Any]

MOST_ROWS = 30
MOST_MARKS = 6


def trend(report: Report) -> Html | None:
    """Return how far the answers lay apart, window by window."""
    told = report.get("over_time")
    if not told:
        return None
    own, control = told.get("challenger") or {}, told.get("control") or {}
    if not own.get("until"):
        return section("over-time", "Divergence over time", element("p.empty", waiting(report)))
    x = clock(told)
    bands = list(_bands(own))
    values = [
        v
        for v in (
            *own["disagreement"],
            *(b[2] for b in bands),
            *(control.get("disagreement") or ()),
        )
        if v is not None
    ]
    y = Linear.over(values, unit="%")
    return section(
        "over-time",
        "Divergence over time",
        element("p.note", "Mean disagreement of a window's requests: 0 % is the same answer, 100 % wholly another. "
                "Shaded: a 95 % interval, at its widest for a value from 0 to 1. Times are UTC, when lanes scored."),
        legend([("challenger", "challenger"), *([("control", "control: the champion beside itself")] if control else [])]),
        plot(
            x, y,
            band(x, y, bands, css="challenger"),
            polyline(x, y, _line(control, "disagreement"), css="control") if control.get("until") else None,
            polyline(x, y, _line(own, "disagreement"), css="challenger"),
            marks(x, told.get("events") or ()),
            told=_said(own, control),
        ),
        folded("Numbers", _numbers(own, control), name="over-time-numbers"),
    )  # fmt: skip


def waiting(report: Report) -> str:
    """Say that no window is closed yet."""
    pending = "" if report.get("compared") else " Nothing has been compared yet."
    return f"No window is closed yet: the first closes after a minute, or after 1,000 requests.{pending}"


def clock(told: Mapping[str, Any]) -> Clock:
    """Return an axis over all windows of both lanes."""
    lanes = [told.get(name) or {} for name in ("challenger", "control")]
    return Clock.over(
        [at for one in lanes for at in (*one.get("since", ()), *one.get("until", ()))]
    )


def _bands(own: Mapping[str, Any]) -> Iterator[tuple[float, float | None, float | None]]:
    for at, n, mean in zip(own["until"], own["n"], own["disagreement"], strict=True):
        if mean is None or not n:
            yield at, None, None
            continue
        # No value between 0 and 1 with this mean can vary more.
        half = 1.96 * sqrt(mean * (1 - mean) / n)
        yield at, max(mean - half, 0.0), min(mean + half, 1.0)


def _line(series: Mapping[str, Any], name: str) -> list[tuple[float, float | None]]:
    # Without a control there is no series of it.
    return list(zip(series.get("until", ()), series.get(name, ()), strict=True))


def marks(x: Scale, events: Sequence[Mapping[str, Any]], *, height: int = 180) -> list[Html]:
    """Draw what happened: starts, ends of processes, labels, changes; the newest where they are many."""
    shown = sorted(events, key=lambda one: one["at"])[-MOST_MARKS:]
    return [
        upright(x, one["at"], one["says"], css=f"event.{one['kind']}", height=height, row=at)
        for at, one in enumerate(shown)
    ]


def _said(own: Mapping[str, Any], control: Mapping[str, Any]) -> str:
    last = next((v for v in reversed(own["disagreement"]) if v is not None), None)
    floor = next((v for v in reversed(control.get("disagreement") or ()) if v is not None), None)
    beside = f"; the champion beside itself {percent(floor)}" if floor is not None else ""
    return f"Divergence over {len(own['until'])} windows; the last one {percent(last)}{beside}"


def _numbers(own: Mapping[str, Any], control: Mapping[str, Any]) -> Html:
    rows: list[tuple[object, ...]] = []
    for name, one in (("challenger", own), ("control", control)):
        for at, n, mean, failed in list(
            zip(
                *(one.get(key, ()) for key in ("until", "n", "disagreement", "failed")), strict=True
            )
        )[-MOST_ROWS:]:
            rows.append((name, moment(at), f"{n:,}", percent(mean), percent(failed)))
    return table(("lane", "window until", "requests", "disagreement", "failed"), rows)


def moment(at: float) -> str:
    """Write a moment in UTC.

    Examples
    --------
    >>> moment(0.0)
    '1970-01-01 00:00:00'
    """
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"


def quantiles_over_time(
    told: Mapping[str, Any], lines: Sequence[tuple[Mapping[str, Any], str, str, str]], *, about: str
) -> Html:
    """Draw times over time on one axis in milliseconds.

    Parameters
    ----------
    told : mapping
        The report's series, for the axis of time and the marks.
    lines : sequence of (series, key, class, name)
    about : str
        What a reader hears.
    """
    x = clock(told)
    known = [v for series, key, _, _ in lines for v in series.get(key, ()) if v is not None]
    if not known:
        return element("p.empty", "Nothing has been timed in a closed window yet.")
    y = Linear.over(known, unit="ms")
    return element(
        "div",
        legend([(css, name) for _, _, css, name in lines]),
        plot(
            x,
            y,
            [
                polyline(x, y, _line(series, key), css=css, height=140)
                for series, key, css, _ in lines
            ],
            told=f"{about}; the largest {short(max(known))} ms",
            height=140,
        ),
    )
