"""The first screen: the verdict and how far it is from each answer, the worst findings, and what runs now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shadowserve.legible import counted
from shadowserve.report.page.html import Html, element
from shadowserve.report.page.plot import percent, rectangle
from shadowserve.report.page.scales import Linear
from shadowserve.report.wording import more, nothing_found, short, spaced, stands_though
from shadowserve.report.wording import percent as told_percent
from shadowserve.state import arrival

Report = Mapping[str, Any]

MOST_FINDINGS = 4
_ALARMS = ("critical", "warning")
_TO_PEOPLE = {
    "promote": "Every limit is kept.",
    "continue": "Not decided yet.",
    "reject": "Do not switch.",
}


def first(report: Report) -> Html:
    """Return the first screen of one challenger."""
    return element(
        "section",
        element("div.answer", _verdict(report), _worst(report)),
        element("div.facts-now", _limits(report), _traffic(report), _lanes(report)),
        id="now",
        aria_label="Verdict, worst findings and what runs now",
    )


def _verdict(report: Report) -> Html | None:
    verdict = report.get("verdict")
    if verdict is None:
        return None
    return element(
        "div.headline",
        element(f"p.verdict.{verdict}", verdict),
        element("p.distance", distance(report)),
    )


def distance(report: Report) -> str:
    """Say in a line how far it is to a decision.

    Examples
    --------
    >>> limits = [{"name": "errors", "state": "undecided", "more": 9, "more_traffic": 9}]
    >>> distance({"verdict": "continue", "judgement": {"limits": limits}})
    'Not decided yet. About 9 requests more decide what is open: errors.'
    """
    limits = (report.get("judgement") or {}).get("limits") or []
    parts = [_TO_PEOPLE.get(str(report["verdict"]), "")]
    broken = [one["name"] for one in limits if one["state"] == "broken"]
    if broken:
        parts.append(f"Broken: {', '.join(broken)}.")
    # What is open matters where nothing is broken: any one broken limit decides.
    open_ = [one for one in limits if one["state"] == "undecided"]
    if open_ and not broken and report["verdict"] != "reject":
        names = ", ".join(one["name"] for one in open_)
        needs = [
            n
            for one in open_
            if one["name"] != "loss" and (n := one.get("more_traffic") or one["more"])
        ]
        parts.append(
            f"About {counted(max(needs), 'request')} more decide what is open: {names}."
            if len(needs) == len(open_)
            else f"Open: {names}."
        )
    return " ".join(filter(None, parts))


def _worst(report: Report) -> Html | None:
    found = report.get("findings")
    if found is None:
        return None
    alarms = [one for one in found if one["severity"] in _ALARMS] or found
    shown = [_brief(at, one) for at, one in enumerate(found) if one in alarms[:MOST_FINDINGS]]
    rest = len(found) - len(shown)
    return element(
        "div.worst",
        element("h2", "Worst findings"),
        element("ol", shown) if shown else element("p", nothing_found(report)),
        element("p.note", element("a", f"{counted(rest, 'more finding')} below", href="#findings"))
        if rest
        else None,
    )


def _brief(at: int, one: Mapping[str, Any]) -> Html:
    severity = one["severity"]
    accepted = (one.get("accepted") or {}).get("holds")
    return element(
        f"li.{severity}",
        element("a", element("b", severity), " ", spaced(one["kind"]), href=f"#finding-{at + 1}"),
        element("span.note", ", accepted") if accepted else None,
        element("p", one["message"]),
    )


def _limits(report: Report) -> Html | None:
    limits = (report.get("judgement") or {}).get("limits")
    if not limits:
        return None
    return element(
        "div.limits",
        element("h2", "How far each limit is from decided"),
        [_limit(one) for one in limits],
    )


def _limit(limit: Mapping[str, Any]) -> Html:
    needs, comma, rest = more(limit).partition(", ")
    return element(
        "div.limit",
        element(
            "p",
            element("b", limit["name"]),
            " ",
            element(f"span.{limit['state']}", limit["state"]),
            stands_though(limit),
            element("span.needs", f" about {needs} more{comma}{rest}") if needs else None,
        ),
        _stands(limit),
        element("p.note", limit["says"]),
    )


def _stands(limit: Mapping[str, Any]) -> Html | None:
    """Draw where a limit stands: a bar over its interval, and a mark at what is allowed."""
    stands = limit.get("stands")
    if not stands or stands["low"] is None:
        return None
    low, high, allowed = stands["low"], stands["high"], stands["allowed"]
    # An open upper end reaches to the picture's.
    most = max(low, high if high is not None else 0.0, allowed) * 1.15
    least = (
        min(low, 0.0)
        if stands["unit"] == "share"
        else 0.0
        if stands["unit"] == "requests"
        else min(low, 0.9)
    )
    axis = Linear(least, most if most > least else least + 1, 1.0)
    start = 0.0 if stands["unit"] == "requests" else low
    at = percent(axis.share(allowed))
    word = f"{'needed' if stands['unit'] == 'requests' else 'allowed'} {_value(allowed, stands['unit'])}"
    told = f"{limit['name']}: {_interval(stands)}; {word}"
    return element(
        "svg.stands",
        element("title", told),
        element("rect.rail", x=0, y=6, width="100%", height=8, rx=4),
        rectangle(
            axis, start, most if high is None else high, top=4, height=12, css=limit["state"]
        ),
        element("line.allowed", x1=at, x2=at, y1=0, y2=20),
        element(f"text.{'last' if axis.share(allowed) > 0.5 else 'first'}", word, x=at, y=32),
        width="100%",
        height=36,
        role="img",
        aria_label=told,
    )


def _interval(stands: Mapping[str, Any]) -> str:
    low, high, unit = stands["low"], stands["high"], stands["unit"]
    if high is None:
        return f"at least {_value(low, unit)}"
    return _value(low, unit) if low == high else f"{_value(low, unit)} to {_value(high, unit)}"


def _value(value: float, unit: str) -> str:
    if unit == "share":
        return told_percent(value)
    return f"{short(value)} times" if unit == "ratio" else f"{value:,.0f}"


def _traffic(report: Report) -> Html:
    return element("dl.tiles", list(_tiles(report)))


def _tiles(report: Report) -> Iterator[Html]:
    now = report.get("now") or {}
    if now.get("rate_per_s") is not None:
        yield _tile(
            "Traffic now",
            f"{short(now['rate_per_s'])} requests/s",
            f"over the last {short(now['over_s'])} s",
        )
    elif report.get("rate_per_s"):
        yield _tile("Traffic", f"{short(report['rate_per_s'])} requests/s", "on average")
    if "compared" in report and report.get("requests"):
        share = report["compared"] / report["requests"]
        yield _tile(
            "Coverage",
            told_percent(share),
            f"{report['compared']:,} of {report['requests']:,} requests compared",
        )
    if "evidence" in report:
        yield _evidence(report)


def _evidence(report: Report) -> Html:
    seen = arrival.of(report["evidence"])
    quiet = (report.get("quiet") or {}).get("evidence") or {}
    if quiet.get("still"):
        since = quiet["quiet_s"]
        told = "no word of its writer" + ("" if since is None else f" for {_time(since)}")
        return _tile("Evidence to MLflow", element("span.broken", "silent"), told)
    css = "span.broken" if seen.troubled else "span"
    return _tile("Evidence to MLflow", element(css, seen.state), str(seen))


def _tile(name: str, value: object, more_: str) -> Html:
    return element("div", element("dt", name), element("dd", value), element("dd.note", more_))


def _lanes(report: Report) -> Html | None:
    lanes = (report.get("ledger") or {}).get("lanes")
    if not lanes:
        return None
    still = {
        (one["role"], one["version"]): one["quiet_s"]
        for one in (report.get("quiet") or {}).get("lanes", ())
        if one["still"]
    }
    return element("ul.lanes", [_lane(one, still) for one in lanes])


def _lane(lane: Mapping[str, Any], still: Mapping[tuple[str, int], float | None]) -> Html:
    key = (lane["role"], lane["version"])
    state, css = lane["state"], _css_of(lane["state"])
    if key in still:
        state, css = "stands still", "broken"
    parts = [f"{lane['pending']:,} pending"]
    if lane.get("lag_seconds"):
        parts.append(f"{_time(lane['lag_seconds'])} behind")
    if still.get(key) is not None:
        parts.append(f"nothing committed for {_time(still[key] or 0.0)}")
    if lane.get("restarts"):
        parts.append(counted(lane["restarts"], "restart"))
    told = [lane["reason"], (lane.get("behind") or {}).get("says")]
    return element(
        "li",
        element(f"span.{lane['role']}.role", f"{lane['role']} v{lane['version']}"),
        " ",
        element(f"b.{css}", state),
        element("span.note", f" {', '.join(parts)}"),
        [element("p.note", one) for one in told if one],
    )


def _css_of(state: str) -> str:
    return {"running": "kept", "starting": "undecided", "paused": "undecided"}.get(state, "broken")


def _time(seconds: float) -> str:
    """Write a time as people say it.

    Examples
    --------
    >>> _time(12.4), _time(200), _time(7500)
    ('12 s', '3 min', '2.1 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3600:.1f} h"


def numbers(limits: Sequence[Mapping[str, Any]]) -> Iterator[tuple[object, ...]]:
    """Yield the limits as rows of a table: name, state, interval and what is allowed."""
    for one in limits:
        stands = one.get("stands")
        yield (
            one["name"],
            element(f"span.{one['state']}", one["state"]),
            _interval(stands) if stands and stands["low"] is not None else "",
            _value(stands["allowed"], stands["unit"]) if stands else "",
            one["says"],
            more(one),
        )
