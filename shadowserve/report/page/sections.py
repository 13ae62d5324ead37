"""The page's sections, each from one part of the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shadowserve.report.legend import PARTS, legend
from shadowserve.report.page.figures import ROLES, bar, step_ranges
from shadowserve.report.page.html import Html, element, table
from shadowserve.report.page.labelled import by_class, by_slice
from shadowserve.report.wording import (
    OUTCOMES,
    agreed,
    cost_to_callers,
    examples,
    mark,
    more,
    nothing_found,
    percent,
    short,
    spaced,
)

Report = Mapping[str, Any]


def findings(report: Report) -> Iterator[Html]:
    """Yield what is wrong, the worst first."""
    yield element("h2", "Findings")
    if not report["findings"]:
        yield element("p", nothing_found(report))
    for one in report["findings"]:
        yield element(
            f"article.{one['severity']}",
            element("h3", element("b", one["severity"]), " ", spaced(one["kind"])),
            element("p", one["message"]),
            element("p.accepted", told) if (told := mark(one)) else None,
            element("p.facts", list(_facts(one))),
        )


def _facts(finding: Mapping[str, Any]) -> Iterator[Html]:
    where, effect = finding["where"], finding["effect"]
    for name in ("step", "slice", "output"):
        if where[name]:
            yield element("span", f"{name} ", element("code", where[name]))
    if where["columns"]:
        yield element("span", "columns ", element("code", ", ".join(where["columns"])))
    if effect and effect["value"] is not None:
        yield element("span", _effect(effect))
    if (since := finding.get("since_request")) is not None:
        yield element("span", f"since request {since:,}")
    if numbers := finding.get("example_requests"):
        yield element("span", f"for example {examples(numbers)}")


def _effect(effect: Mapping[str, Any]) -> str:
    told = f"{spaced(effect['measure'])} {short(effect['value'])}"
    if effect["low"] is not None and effect["high"] is not None:
        told += f" (between {short(effect['low'])} and {short(effect['high'])})"
    if effect["baseline"] is not None:
        told += f", {effect['baseline_role']} {short(effect['baseline'])}"
    return told


def limits(report: Report) -> Iterator[Html]:
    """Yield how each limit of the policy stands."""
    yield element("h2", "Limits")
    yield table(
        ("limit", "stands", "what is known", "still needs"),
        [
            (
                limit["name"],
                element(f"span.{limit['state']}", limit["state"]),
                limit["says"],
                more(limit),
            )
            for limit in report["judgement"]["limits"]
        ],
    )


def divergence(report: Report) -> Iterator[Html]:
    """Yield how far the outputs lie apart, and which items moved."""
    told = report["divergence"]
    if not told:
        return
    yield element("h2", f"Divergence of the outputs ({told['kind']})")
    if equal := agreed(told["agreement"]):
        yield element("p", equal)
    yield table(
        ("measure", "mean", "smallest", "largest"),
        [
            (spaced(name), *(short(measure[part]) for part in ("mean", "min", "max")))
            for name, measure in told["measures"].items()
        ],
    )
    for name, means in legend(told["measures"]).items():
        yield element("p.note", element("b", spaced(name)), f": {means}")
    yield from _movers(told.get("movers") or ())


def _movers(movers: Sequence[Mapping[str, Any]]) -> Iterator[Html]:
    if not movers:
        return
    yield element("h3", "Items that moved most: share of answers that hold them")
    yield table(
        ("item", "champion", "", "challenger", ""),
        [
            (
                element("code", one["item"]),
                percent(one["before"]),
                bar(one["before"], css="champion"),
                percent(one["after"]),
                bar(one["after"], css="challenger"),
            )
            for one in movers
        ],
    )


def labels(report: Report) -> Iterator[Html]:
    """Yield what came out of the requests, where somebody has said so."""
    told = report["labels"]
    if not told:
        return
    yield element("h2", "Labels")
    counted = ("joined", "late", "repeated", "duplicate", "conflicting", "ambiguous", "unknown")
    yield element("p", ", ".join(f"{told[name]:,} {name}" for name in counted), ".")
    losses = [loss for loss in (told["loss"], *told["others"]) if loss]
    numbers = ("champion", "challenger", "difference", "low", "high")
    yield table(
        ("loss", "labels", *numbers),
        [
            (loss["measure"], f"{loss['n']:,}", *(short(loss[name]) for name in numbers))
            for loss in losses
        ],
    )
    yield from by_class(told.get("by_class"))
    yield from by_slice(told.get("by_slice"))


def slices(report: Report) -> Iterator[Html]:
    """Yield where in the traffic the two disagree most."""
    if not report["slices"]:
        return
    yield element("h2", "Where they disagree")
    yield table(
        ("part of the traffic", "share", "disagreement there", "elsewhere"),
        [
            (one["slice"], *(percent(one[n]) for n in ("share", "disagreement", "elsewhere")))
            for one in report["slices"]
        ],
    )


def steps(report: Report) -> Iterator[Html]:
    """Yield the time by step and role."""
    features = report["features"]
    if not features:
        return
    yield element("h2", "Time by step")
    yield from _whole(report.get("latency") or {})
    yield element("p.legend", [element(f"span.{role}", role) for role in ROLES])
    yield element("p.note", "Dot: median. Thick: to the p90. Thin: to the slowest seen.")
    yield step_ranges(features) or element("p", "Nothing has been timed yet.")
    yield table(
        ("role", "step", "timed", "p50 ms", "p90 ms", "p99 ms", "max ms", "share", "grows with"),
        [
            (
                element(f"span.{one['role']}", one["role"]),
                element("code", one["step"]),
                f"{one['n']:,}",
                *(short(one[name]) for name in ("p50_ms", "p90_ms", "p99_ms", "max_ms")),
                f"({percent(one['share'])})" if one.get("within") else percent(one["share"]),
                _growth(one["growth"]),
            )
            for one in features
        ],
    )
    if any(one.get("within") for one in features):
        yield element("p.note", PARTS)


def _whole(latency: Mapping[str, Any]) -> Iterator[Html]:
    """Yield what is known of the time as a whole: beside the control, and to callers."""
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
            f"Timed alone: {percent(measuring['timed_share'])} of requests; measuring takes "
            f"{percent(measuring['time_share'])} of the lane's time, of which it may take "
            f"{percent(measuring['budget_share'])}.",
        )
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


def _growth(growth: Mapping[str, Any] | None) -> Html | None:
    if growth is None:
        return None
    power = element("sup", short(growth["exponent"]))
    mark = "b" if growth["superlinear"] else "span"
    return element(mark, growth["column"], power)


def notes(report: Report) -> Iterator[Html]:
    """Yield what is not measured as one would expect."""
    if report["notes"]:
        yield element("ul.note", [element("li", note) for note in report["notes"]])


def requests(report: Report) -> Iterator[Html]:
    """Yield the requests that differ most, and the slowest, by the ids that callers know them by."""
    worst = [one for one in report.get("worst_requests") or () if one["key"] > 0][:10]
    if worst:
        yield element("h2", "Requests that differ most")
        rows = [(element("code", one["payload"]), short(one["key"])) for one in worst]
        yield table(("request id", "disagreement"), rows)
    slowest = report["slow_requests"][:10]
    if not slowest:
        return
    yield element("h2", "Slowest requests")
    yield table(
        ("request", "ms", "in step", "ms there", "longest column", "size"),
        [
            (
                str(one["position"]),
                one["payload"].get("note") or short(one["key"]),
                element("code", one["payload"]["step"] or ""),
                short(one["payload"]["step_ms"]),
                element("code", one["payload"]["column"] or ""),
                short(one["payload"]["size"]),
            )
            for one in slowest
        ],
    )


def ledger(report: Report) -> Iterator[Html]:
    """Yield what became of every request."""
    told = report["ledger"]
    champion, journal = told["champion"], told["journal"]
    counted = [name for name, n in champion.items() if name != "version" and isinstance(n, int)]
    yield element("h2", "Ledger")
    yield element(
        "p",
        f"Champion v{champion['version']}: ",
        ", ".join(f"{champion[name]:,} {spaced(name)}" for name in counted),
        f". Journal: {journal['appended']:,} recorded"
        + (f", {journal['append_failed']:,} could not be. " if journal["append_failed"] else ". "),
        element("span.kept", "It balances.")
        if told["balanced"]
        else element("span.broken", "It does not balance."),
    )
    yield table(
        ("lane", "state", *(spaced(name) for name in OUTCOMES), "skipped", "pending"),
        [
            (
                f"{lane['role']} v{lane['version']}",
                lane["state"] + (f": {lane['reason']}" if lane["reason"] else ""),
                *(f"{lane[name]:,}" for name in OUTCOMES),
                f"{sum(lane['skipped'].values()):,}",
                f"{lane['pending']:,}",
            )
            for lane in told["lanes"]
        ],
    )
    for lane in told["lanes"]:
        if lane.get("behind"):
            who = f"{lane['role']} v{lane['version']}: "
            yield element("p.note", f"{who[:1].upper()}{who[1:]}{lane['behind']['says']}.")
